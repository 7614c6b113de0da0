//! A message of the outbox, as a pass reads it.

use sqlx::types::Json;

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) destination: String,
    pub(super) key: String,
    pub(super) headers: Json<Vec<(String, String)>>,
    pub(super) payload: Vec<u8>,
    /// How many rows there were for this batch, with those that were too many bytes.
    pub(super) found: i64,
}
