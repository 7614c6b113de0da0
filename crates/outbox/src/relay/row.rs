//! A message of the outbox, as a pass reads it, and the scope of its order.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};

use crate::headers;

/// A destination and a key: the scope within which order is kept.
pub(super) type Group = (String, String);

pub(super) struct Row {
    /// Where it is in the table, for as long as the pass holds its lane.
    pub(super) place: String,
    pub(super) destination: String,
    pub(super) key: String,
    /// Or why they cannot be read: somebody else wrote them, and what can be read must not wait for it.
    pub(super) headers: Result<Vec<(String, String)>, String>,
    pub(super) payload: Vec<u8>,
    /// How many rows there were for this batch, with those that were too many bytes.
    pub(super) found: i64,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let key: String = row.try_get("key")?;
        Ok(Self {
            place: row.try_get("place")?,
            destination: row.try_get("destination")?,
            headers: headers_of(row, &key),
            key,
            payload: row.try_get("payload")?,
            found: row.try_get("found")?,
        })
    }
}

/// The headers of a row with this key, which are stored in one of two forms.
fn headers_of(row: &PgRow, key: &str) -> Result<Vec<(String, String)>, String> {
    if let Ok(Json(short)) = row.try_get::<Json<String>, _>("headers") {
        return headers::lengthen(&short, key)
            .ok_or_else(|| "its headers are a text of an unknown form".to_owned());
    }
    row.try_get::<Json<Vec<(String, String)>>, _>("headers")
        .map(|Json(headers)| headers)
        .map_err(|error| format!("its headers are no list of names and values: {error}"))
}
