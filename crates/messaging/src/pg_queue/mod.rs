//! A durable work queue in PostgreSQL: competing consumers, visibility timeout, delay, dead letters
//! and fanout, with no other engine to run.
//!
//! A message is a row. To claim it is one `UPDATE` over `SELECT … FOR UPDATE SKIP LOCKED`: consumers
//! never wait for each other, and each gets other rows. The claim commits at once and leaves a
//! *lease* on the row (`visible_at`, as in Amazon SQS); no transaction stays open while a handler
//! runs. The alternative, holding the row's lock for that time, ties a connection to each message in
//! hand and keeps vacuum from cleaning up behind all the others.
//!
//! A message that was published is on the disk. A claim and an acknowledgement are not at once: what the last of them did before the
//! server itself ends without a word is undone, and those messages come again.
//!
//! Limits: a message is written, claimed and deleted, and each of these is committed, many messages
//! together when there are many; thousands a second, not more. Order is not promised. The payload is at most [`PAYLOAD_MAX_BYTES`].
//! An answer of the database is waited for 30 s at most. Its connection is then the pool's again, and a pool of sqlx waits for the
//! answer until TCP gives up, unless it has the hook that this crate's README shows, as those of `chassis` have one.

mod answer;
mod consume;
mod dead_letters;
mod publish;
mod schema;
mod store;
mod wake;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use crate::NAME_MAX_CHARS;
use crate::dead_letters::{DeadLetterStore, gauge};
use crate::observe::Sent;
pub use crate::queue::{ConsumeOptions, PAYLOAD_MAX_BYTES};
use crate::{Handler, MessagingError, Queue, Status, Together, names};
use answer::{ANSWER_TIMEOUT, within};
pub use dead_letters::PgDeadLetters;
use publish::Published;
use store::Outgoing;
use wake::Wakes;

/// What metrics call this engine.
const SYSTEM: &str = "postgresql";

/// The queue. Clones share the pool, and a message that one publishes wakes the consumers of all. Consumers in other
/// processes find it at their next poll ([`ConsumeOptions::poll`]).
#[derive(Debug, Clone)]
pub struct PgQueue {
    pool: PgPool,
    wakes: Arc<Wakes>,
    published: Arc<Together<Outgoing, Published>>,
    sent: Arc<Sent>,
}

impl PgQueue {
    /// Uses the tables in the pool's database; see [`Queue::install`].
    ///
    /// A consumer uses up to one connection for each message in hand, for moments.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            wakes: Arc::default(),
            published: Arc::default(),
            sent: Arc::new(Sent::new(SYSTEM)),
        }
    }
}

#[async_trait]
impl Queue for PgQueue {
    /// Creates the tables, or changes those of an older version; safe with several processes at once, and while others
    /// are at work. Gives up a database that does not answer for 30 s, or a change of the tables for 10 minutes.
    async fn install(&self) -> Result<(), MessagingError> {
        Ok(schema::install(&self.pool).await?)
    }

    async fn declare(&self, queue: &str) -> Result<(), MessagingError> {
        names::check(queue)?;
        let dead = names::dead(queue);
        let declared = store::declare(&self.pool, queue, &dead);
        Ok(within(ANSWER_TIMEOUT, declared).await?)
    }

    async fn bind(&self, exchange: &str, queue: &str) -> Result<(), MessagingError> {
        names::check(exchange)?;
        names::check(queue)?;
        let bound = store::bind(&self.pool, exchange, queue);
        match within(ANSWER_TIMEOUT, bound).await {
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(
                MessagingError::Name(format!("the queue {queue} was not declared")),
            ),
            result => Ok(result?),
        }
    }

    fn dead_letters(&self, queues: &[String]) -> Box<dyn DeadLetterStore> {
        Box::new(PgDeadLetters::of(self.pool.clone(), queues))
    }

    async fn consume(
        &self,
        queue: &str,
        options: ConsumeOptions,
        handler: Arc<dyn Handler>,
        status: Status,
        shutdown: CancellationToken,
    ) -> Result<(), MessagingError> {
        names::check(queue)?;
        let letters = PgDeadLetters::of(self.pool.clone(), [queue]);
        let told = options.dead_letters.clone();
        let counted = gauge::run(&letters, &told, &shutdown);
        let consumed = consume::run(self, queue, options, handler, status, shutdown.clone());
        tokio::join!(consumed, counted);
        Ok(())
    }
}
