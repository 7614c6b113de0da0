//! The dead letters of queues in PostgreSQL: rows of `<queue>.dead`.

use std::collections::VecDeque;

use async_trait::async_trait;
use sqlx::types::Json;
use sqlx::{PgPool, Row};

use super::answer::{ANSWER_TIMEOUT, within};
use super::store;
use crate::dead_letter;
use crate::dead_letters::{DeadLetter, DeadLetterStore, Position, Settled, Visit};
use crate::{DEAD_SUFFIX, MessagingError, names};

/// Letters that are read at once.
const PAGE: i64 = 100;

/// All dead-letter queues in a database, or some of them.
#[derive(Debug, Clone)]
pub struct PgDeadLetters {
    pool: PgPool,
    only: Option<Vec<String>>,
}

impl PgDeadLetters {
    /// All that were declared in the pool's database. It is none where the queue's tables are not.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, only: None }
    }

    /// Those of these queues, by the queues' own names.
    #[must_use]
    pub fn of<T: AsRef<str>>(pool: PgPool, queues: impl IntoIterator<Item = T>) -> Self {
        let dead = queues.into_iter().map(|queue| names::dead(queue.as_ref()));
        Self {
            pool,
            only: Some(dead.collect()),
        }
    }
}

#[async_trait]
impl DeadLetterStore for PgDeadLetters {
    async fn places(&self) -> Result<Vec<String>, MessagingError> {
        let there = sqlx::query_scalar("SELECT to_regclass('mq_queue') IS NOT NULL");
        let there: bool = within(ANSWER_TIMEOUT, there.fetch_one(&self.pool)).await?;
        if !there {
            return Ok(Vec::new());
        }
        let names = sqlx::query_scalar(
            "SELECT name FROM mq_queue
             WHERE right(name, length($1)) = $1 AND ($2::text[] IS NULL OR name = ANY ($2)) ORDER BY name",
        )
        .bind(DEAD_SUFFIX)
        .bind(&self.only)
        .fetch_all(&self.pool);
        Ok(within(ANSWER_TIMEOUT, names).await?)
    }

    async fn count(&self, place: &str) -> Result<u64, MessagingError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM mq_message WHERE queue = $1")
            .bind(place)
            .fetch_one(&self.pool);
        let count: i64 = within(ANSWER_TIMEOUT, count).await?;
        Ok(count.unsigned_abs())
    }

    async fn visit(&self, place: &str) -> Result<Box<dyn Visit>, MessagingError> {
        let Some(queue) = place.strip_suffix(DEAD_SUFFIX) else {
            return Err(MessagingError::Name(format!(
                "`{place}` is no dead-letter queue: its name does not end with {DEAD_SUFFIX}"
            )));
        };
        // A letter that fails again gets back the row that it had; without this bound the visit would meet it once more.
        let last = sqlx::query_scalar("SELECT max(id) FROM mq_message WHERE queue = $1")
            .bind(place)
            .fetch_one(&self.pool);
        let last: Option<i64> = within(ANSWER_TIMEOUT, last).await?;
        Ok(Box::new(PgVisit {
            pool: self.pool.clone(),
            place: place.to_owned(),
            queue: queue.to_owned(),
            after: i64::MIN,
            last: last.unwrap_or(i64::MIN),
            read: VecDeque::new(),
        }))
    }
}

struct PgVisit {
    pool: PgPool,
    place: String,
    /// Where its messages are sent again.
    queue: String,
    after: i64,
    last: i64,
    read: VecDeque<DeadLetter>,
}

impl PgVisit {
    async fn read_page(&mut self) -> Result<(), MessagingError> {
        let rows = sqlx::query(
            "SELECT id, key, headers, payload FROM mq_message
             WHERE queue = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4",
        )
        .bind(&self.place)
        .bind(self.after)
        .bind(self.last)
        .bind(PAGE)
        .fetch_all(&self.pool);
        let rows = within(ANSWER_TIMEOUT, rows).await?;
        for row in rows {
            let id: i64 = row.try_get("id")?;
            let message = store::message(&row)?;
            self.after = id;
            let letter = DeadLetter::new(&self.place, Position::Row(id), message);
            self.read.push_back(letter);
        }
        Ok(())
    }
}

fn row(letter: &DeadLetter) -> i64 {
    match letter.position {
        Position::Row(id) => id,
        // Of another store: no row has this id.
        Position::Record { .. } | Position::Tag(_) => i64::MIN,
    }
}

fn settled(rows: u64) -> Settled {
    if rows > 0 {
        Settled::Done
    } else {
        Settled::Gone
    }
}

#[async_trait]
impl Visit for PgVisit {
    async fn next(&mut self) -> Result<Option<DeadLetter>, MessagingError> {
        if self.read.is_empty() {
            self.read_page().await?;
        }
        Ok(self.read.pop_front())
    }

    /// One statement: it is in one queue or in the other, whatever is killed. Its consumers find it at their next poll.
    async fn redrive(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        let again = dead_letter::redriven(&letter.message);
        let done = sqlx::query(
            "UPDATE mq_message SET queue = $3, headers = $4, attempts = 0, lease = NULL, visible_at = now()
             WHERE id = $1 AND queue = $2 AND (lease IS NULL OR visible_at <= now())",
        )
        .bind(row(letter))
        .bind(&self.place)
        .bind(&self.queue)
        .bind(Json(&again.headers))
        .execute(&self.pool);
        let done = within(ANSWER_TIMEOUT, done).await?;
        Ok(settled(done.rows_affected()))
    }

    async fn discard(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        let done = sqlx::query(
            "DELETE FROM mq_message WHERE id = $1 AND queue = $2 AND (lease IS NULL OR visible_at <= now())",
        )
        .bind(row(letter))
        .bind(&self.place)
        .execute(&self.pool);
        let done = within(ANSWER_TIMEOUT, done).await?;
        Ok(settled(done.rows_affected()))
    }

    async fn leave(self: Box<Self>) {}
}
