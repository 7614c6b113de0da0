//! Writing an event in the transaction of the change that it tells of.

use std::sync::Arc;

use bytes::Bytes;
use envelope::{Event, EventData};
use messaging::Destination;
use sqlx::PgConnection;
use sqlx::types::Json;
use tokio::sync::watch;

use crate::error::OutboxError;
use crate::lane;

/// The largest event, in bytes of payload, headers and key: 900 KiB. Kafka takes messages up to
/// 1,000,000 bytes unless told otherwise; the rest is for its own framing.
pub const MAX_EVENT_BYTES: usize = 900 * 1024;

/// The handle of an outbox. A clone is the same outbox: one is for whatever writes, one for the relay.
///
/// The [front page of the crate](crate) shows its use.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// Counts the calls of [`wake`](Self::wake). A counter and not a `Notify`: a relay that is in the middle of a pass
    /// must see afterwards that there is more, and each worker has to see it for itself.
    wakes: Arc<watch::Sender<u64>>,
}

impl Outbox {
    /// An outbox that nobody writes to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `event` for `to` in the caller's transaction: it is sent if, and only if, that commits.
    ///
    /// Order is kept among the events of one subject that go to one destination, in the order in which
    /// they were added. Between transactions that order exists only if they take turns: **lock the
    /// aggregate's row first** (an `INSERT` or `UPDATE` of it does), then add.
    ///
    /// # Errors
    /// [`OutboxError::TooLarge`] above [`MAX_EVENT_BYTES`]; [`OutboxError::Encode`] if the event is not
    /// JSON; [`OutboxError::Database`].
    pub async fn add<T: EventData>(
        &self,
        tx: &mut PgConnection,
        to: &Destination,
        event: &Event<T>,
    ) -> Result<(), OutboxError> {
        self.add_all(tx, vec![Entry::new(to, event)?]).await
    }

    /// Writes several events as [`add`](Self::add) does, in this order and in one statement: for a
    /// consumer that handles many messages in one transaction.
    ///
    /// # Errors
    /// [`OutboxError::Database`].
    pub async fn add_all(
        &self,
        tx: &mut PgConnection,
        entries: Vec<Entry>,
    ) -> Result<(), OutboxError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        for entry in entries {
            columns.lanes.push(lane::of(&entry.key));
            columns.destinations.push(entry.destination);
            columns.keys.push(entry.key);
            columns.headers.push(Json(entry.headers));
            columns.payloads.push(entry.payload.into());
        }
        // ORDER BY, so that ids are given in the order of the entries.
        sqlx::query(
            "INSERT INTO outbox (lane, destination, key, headers, payload)
             SELECT lane, destination, key, headers, payload
               FROM unnest($1::smallint[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[]) WITH ORDINALITY
                      AS entry (lane, destination, key, headers, payload, position)
              ORDER BY position",
        )
        .bind(columns.lanes)
        .bind(columns.destinations)
        .bind(columns.keys)
        .bind(columns.headers)
        .bind(columns.payloads)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Wakes the relays of this process: a transaction has committed. Call it after the commit; without it, and in
    /// other processes, the relay finds the row at its next poll.
    pub fn wake(&self) {
        self.wakes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What a relay worker waits on.
    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }
}

/// An event on its way into the outbox: encoded, and not too large.
#[derive(Debug, Clone)]
pub struct Entry {
    destination: String,
    key: String,
    headers: Vec<(String, String)>,
    payload: Bytes,
}

impl Entry {
    /// `event`, to be sent to `to` under the key of its subject.
    ///
    /// # Errors
    /// [`OutboxError::TooLarge`] above [`MAX_EVENT_BYTES`]; [`OutboxError::Encode`] if the event is not JSON.
    pub fn new<T: EventData>(to: &Destination, event: &Event<T>) -> Result<Self, OutboxError> {
        let message = event.to_binary(envelope::KAFKA_PREFIX)?;
        let mut headers = message.headers;
        // Besides the CloudEvents extension, the plain headers that every tracing library looks for.
        let trace = [
            ("traceparent", &event.trace.traceparent),
            ("tracestate", &event.trace.tracestate),
        ];
        headers.extend(
            trace
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))),
        );

        let actual = message.body.len()
            + event.subject.len()
            + headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>();
        if actual > MAX_EVENT_BYTES {
            return Err(OutboxError::TooLarge {
                actual,
                limit: MAX_EVENT_BYTES,
            });
        }
        Ok(Self {
            destination: to.to_string(),
            key: event.subject.clone(),
            headers,
            payload: message.body,
        })
    }
}

/// Entries, column by column, for `unnest`.
#[derive(Default)]
struct Columns {
    lanes: Vec<i16>,
    destinations: Vec<String>,
    keys: Vec<String>,
    headers: Vec<Json<Vec<(String, String)>>>,
    payloads: Vec<Vec<u8>>,
}
