//! A transaction that tells: the change, the events about it and the wake-up of the relay are one thing.

use std::iter;
use std::ops::{Deref, DerefMut};

use envelope::{Event, EventData};
use messaging::Destination;
use sqlx::postgres::{PgArguments, PgBindIterExt as _, PgRow};
use sqlx::query::QueryAs;
use sqlx::types::JsonValue;
use sqlx::{Encode, FromRow, PgConnection, PgPool, Postgres, Type};
use tracing::Span;

use crate::error::OutboxError;
use crate::headers;
use crate::lane::{self, Lanes};
use crate::outbox::Outbox;

/// The largest event, in bytes of payload, headers and key: 900 KiB. Kafka takes messages up to
/// 1,000,000 bytes unless told otherwise; the rest is for its own framing.
pub const MAX_EVENT_BYTES: usize = 900 * 1024;

/// The name of a transaction that nobody has named.
pub(crate) const UNNAMED: &str = "transaction";

impl Outbox {
    /// Begins a transaction in which events can be told.
    ///
    /// # Errors
    /// The database's, or the pool's when it has no connection to give.
    pub async fn begin(&self, pool: &PgPool) -> Result<Transaction, sqlx::Error> {
        self.begin_named(pool, UNNAMED).await
    }

    /// [`begin`](Self::begin) for a transaction that whoever watches sees under a name: what it does, in a few words, such as
    /// `pay invoice`.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn begin_named(
        &self,
        pool: &PgPool,
        name: &'static str,
    ) -> Result<Transaction, sqlx::Error> {
        let inner = pool.begin().await?;
        Ok(Transaction {
            inner,
            span: span(pool, name),
            told: Told::default(),
            on_commit: Vec::new(),
            outbox: self.clone(),
        })
    }

    /// Runs one statement that changes something and tells about it: one round trip, and a transaction of its own. What
    /// [`begin`](Self::begin), two statements and [`Transaction::commit`] do in four.
    ///
    /// The statement is begun by [`Told::query_as`], and calls the function `outbox_tell` where it has made its change, and
    /// nowhere else. The function's five arguments are the first parameters, so that none of the statement's own moves them:
    ///
    /// ```sql
    /// WITH paid AS (UPDATE invoices SET status = 'paid' WHERE id = $6 AND status = 'open' RETURNING id)
    /// SELECT outbox_tell($1, $2, $3, $4, $5) FROM paid
    /// ```
    ///
    /// What holds for the order of events in [`Transaction::tell`] holds here: change the aggregate's row first. The relays
    /// of this process are woken whether or not the statement called the function.
    ///
    /// `name` is what whoever watches sees, as in [`begin_named`](Self::begin_named).
    ///
    /// # Errors
    /// The database's: nothing was changed or told, unless its answer got lost. Then, and when this is dropped on its way,
    /// the statement may have run all the same; a relay finds the events at its next poll.
    pub async fn tell_in<'q, O>(
        &self,
        pool: &PgPool,
        name: &'static str,
        statement: Telling<'q, O>,
    ) -> Result<O, sqlx::Error>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow> + 'q,
    {
        let Telling { query, lanes } = statement;
        let row = watched(pool, name, query.fetch_one(pool)).await?;
        self.wake(lanes);
        Ok(row)
    }

    /// [`tell_in`](Self::tell_in) for the changes of several callers, which share the statement ([`Told::query_all_as`]);
    /// returns all of its rows. The statement has to call the function once, with the events of the changes that it made, in
    /// their order.
    ///
    /// Whoever watches sees nothing of the statement, since it belongs to several traces: each caller shows its own part with
    /// [`watched`].
    ///
    /// # Errors
    /// As [`tell_in`](Self::tell_in).
    pub async fn tell_all_in<'q, O>(
        &self,
        connection: &mut PgConnection,
        statement: Telling<'q, O>,
    ) -> Result<Vec<O>, sqlx::Error>
    where
        O: Send + Unpin + for<'r> FromRow<'r, PgRow> + 'q,
    {
        let Telling { query, lanes } = statement;
        let rows = query.fetch_all(connection).await?;
        self.wake(lanes);
        Ok(rows)
    }
}

/// Awaits a change of the database, and shows it to whoever watches as a transaction with this name, as
/// [`begin_named`](Outbox::begin_named) does.
///
/// # Errors
/// Those of the change.
pub async fn watched<T, E>(
    pool: &PgPool,
    name: &'static str,
    change: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = span(pool, name);
    let changed = change.await?;
    span.record("otel.status_code", "OK");
    Ok(changed)
}

/// A database transaction that [tells](Self::tell) events. Statements run on `&mut *tx`.
///
/// Dropped without [`commit`](Self::commit) it is rolled back, and nothing was told.
#[must_use = "dropped, it is rolled back"]
pub struct Transaction {
    inner: sqlx::Transaction<'static, Postgres>,
    /// Ends with it.
    span: Span,
    told: Told,
    on_commit: Vec<Box<dyn FnOnce() + Send>>,
    outbox: Outbox,
}

impl Transaction {
    /// Tells `event` to `to`: it is sent if, and only if, this transaction commits.
    ///
    /// It is encoded here and kept in memory; nothing promises that the database has seen it before
    /// [`commit`](Self::commit). So it costs no round trip, and a loop may tell one event at a time.
    ///
    /// Order is kept among the events of one subject that go to one destination, in the order in which they were told.
    /// Between transactions that order exists only if they take turns: **lock the aggregate's row before** (an `INSERT`
    /// or `UPDATE` of it does).
    ///
    /// # Errors
    /// [`OutboxError::TooLarge`] above [`MAX_EVENT_BYTES`]; [`OutboxError::Encode`] if the event is not JSON. The
    /// transaction is as good as before.
    pub fn tell<T: EventData>(
        &mut self,
        to: &Destination,
        event: &Event<T>,
    ) -> Result<(), OutboxError> {
        self.told.tell(to, event)
    }

    /// What is told with this transaction, for a function that does not care what it is told with.
    pub fn told(&mut self) -> &mut Told {
        &mut self.told
    }

    /// Calls `then` once this transaction has committed, and never if it does not: for what is counted and cannot be
    /// rolled back.
    pub fn on_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.on_commit.push(Box::new(then));
    }

    /// Writes what was told, in order and in one statement, commits, and wakes the relays of this process if something
    /// was told. They send it within milliseconds; relays of other processes find it at their next poll.
    ///
    /// # Errors
    /// The database's. If its answer to the commit got lost, the transaction may have committed all the same; then a
    /// relay finds the events at its next poll.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let lanes = self.told.in_lanes;
        if !lanes.is_empty() {
            let statement = "SELECT outbox_tell($1, $2, $3, $4, $5)";
            let statement: Telling<'_, (bool,)> = self.told.query_as(statement);
            statement.query.fetch_one(&mut *self.inner).await?;
        }
        self.inner.commit().await?;
        self.span.record("otel.status_code", "OK");
        drop(self.span);
        // Not before: a relay that looks too early finds nothing, and waits for its poll.
        if !lanes.is_empty() {
            self.outbox.wake(lanes);
        }
        for then in self.on_commit {
            then();
        }
        Ok(())
    }

    /// Ends it without effect. Dropping it does the same, when its connection is used again.
    ///
    /// # Errors
    /// The database's; the transaction has no effect then either.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

/// The span of a transaction, for whoever watches or exports spans; disabled where it is made unless somebody wants it.
/// The names of its fields are OpenTelemetry's.
fn span(pool: &PgPool, name: &'static str) -> Span {
    let span = tracing::info_span!(
        target: "hop",
        "transaction",
        otel.name = name,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.query.summary = name,
        db.namespace = tracing::field::Empty,
        server.address = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let options = pool.connect_options();
    span.record("db.namespace", options.get_database());
    span.record("server.address", options.get_host());
    // It begins now. What is done in it is not run inside of it: the caller's span is the one that lines belong to.
    span.in_scope(|| {});
    span
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// Events that are about to be told: rows of the outbox, column by column, for `unnest`.
#[derive(Debug, Default)]
pub struct Told {
    /// The lanes of all of them.
    in_lanes: Lanes,
    lanes: Vec<i16>,
    destinations: Vec<String>,
    keys: Vec<String>,
    headers: Vec<JsonValue>,
    payloads: Vec<Vec<u8>>,
}

impl Told {
    /// Adds `event`, to be sent to `to` under the key of its subject.
    ///
    /// # Errors
    /// As [`Transaction::tell`].
    pub fn tell<T: EventData>(
        &mut self,
        to: &Destination,
        event: &Event<T>,
    ) -> Result<(), OutboxError> {
        let message = event.to_binary(envelope::KAFKA_PREFIX)?;
        let of_headers = message
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
        let actual = message.body.len() + event.subject.len() + of_headers;
        if actual > MAX_EVENT_BYTES {
            return Err(OutboxError::TooLarge {
                actual,
                limit: MAX_EVENT_BYTES,
            });
        }
        let lane = lane::of(&event.subject);
        self.in_lanes.insert(lane);
        self.lanes.push(lane);
        self.destinations.push(to.to_string());
        self.keys.push(event.subject.clone());
        self.headers
            .push(headers::store(message.headers, &event.subject));
        self.payloads.push(message.body.into());
        Ok(())
    }

    /// The number of its events.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Begins a statement for [`Outbox::tell_in`]: `$1` to `$5` are the arguments of `outbox_tell`, and what is bound to the
    /// returned one begins with `$6`.
    pub fn query_as<'q, O>(&'q self, statement: &'static str) -> Telling<'q, O>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        Self::query_all_as(iter::once(self), statement)
    }

    /// [`query_as`](Self::query_as) for what several have told, one after the other: a statement for
    /// [`Outbox::tell_all_in`].
    pub fn query_all_as<'q, O>(
        all: impl Iterator<Item = &'q Self> + Clone + 'q,
        statement: &'static str,
    ) -> Telling<'q, O>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        let none = Lanes::default();
        let lanes = all
            .clone()
            .fold(none, |lanes, told| lanes.and(told.in_lanes));
        let query = sqlx::query_as(statement)
            .bind(all.clone().flat_map(|told| &told.lanes).bind_iter())
            .bind(all.clone().flat_map(|told| &told.destinations).bind_iter())
            .bind(all.clone().flat_map(|told| &told.keys).bind_iter())
            .bind(all.clone().flat_map(|told| &told.headers).bind_iter())
            .bind(all.flat_map(|told| &told.payloads).bind_iter());
        Telling { query, lanes }
    }
}

/// A statement that changes something and tells about it, for [`Outbox::tell_in`]: its rows are `O`.
#[must_use = "it is not run"]
pub struct Telling<'q, O> {
    query: QueryAs<'q, Postgres, O, PgArguments>,
    /// Where it tells: the relay workers to be woken.
    lanes: Lanes,
}

impl<'q, O> Telling<'q, O> {
    /// Binds the next parameter; the first one is `$6`.
    pub fn bind<T>(self, value: T) -> Self
    where
        T: 'q + Encode<'q, Postgres> + Type<Postgres>,
    {
        Self {
            query: self.query.bind(value),
            lanes: self.lanes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Counted(u64);

    impl EventData for Counted {
        const TYPE: &'static str = "test.counted.v1";
        const SOURCE: &'static str = "/services/test";
        fn subject(&self) -> String {
            "one".to_owned()
        }
    }

    #[tokio::test]
    async fn only_a_commit_that_told_something_wakes() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        crate::install(&pool).await.expect("tables");
        let outbox = Outbox::new();
        let mut wakes = outbox.wakes(lane::of_worker(0, 1));
        let topic = Destination::Topic("counts".to_owned());
        let begin = async || outbox.begin(&pool).await.expect("a transaction");

        begin().await.commit().await.expect("a commit");
        let mut rolled_back = begin().await;
        let told = Event::new(Counted(1));
        rolled_back.tell(&topic, &told).expect("it fits");
        rolled_back.rollback().await.expect("a rollback");
        let mut dropped = begin().await;
        dropped.tell(&topic, &told).expect("it fits");
        drop(dropped);
        assert!(wakes.changed().now_or_never().is_none());

        let mut commits = begin().await;
        commits.tell(&topic, &told).expect("it fits");
        assert!(wakes.changed().now_or_never().is_none());
        commits.commit().await.expect("a commit");
        assert!(wakes.changed().now_or_never().is_some());
    }
}
