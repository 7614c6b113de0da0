//! A message of the outbox, as a pass reads it, and the scope of its order.

use sqlx::types::Json;

/// A destination and a key: the scope within which order is kept.
pub(super) type Group = (String, String);

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    /// Where it is in the table, for as long as the pass holds its lane.
    pub(super) place: String,
    pub(super) destination: String,
    pub(super) key: String,
    pub(super) headers: Json<Vec<(String, String)>>,
    pub(super) payload: Vec<u8>,
    /// How many rows there were for this batch, with those that were too many bytes.
    pub(super) found: i64,
}
