//! Publishing: one statement, also for a fanout.

use std::time::Duration;

use async_trait::async_trait;

use super::{PgQueue, store};
pub use crate::queue::PAYLOAD_MAX_BYTES;
use crate::{Destination, Message, PublishError, Publisher, Receipt, names, queue::unroutable};

#[async_trait]
impl Publisher for PgQueue {
    /// Queue: the message is there once, or the queue was never declared and it is rejected.
    ///
    /// Exchange: each bound queue has a copy, all or none. While no queue is bound the message is not
    /// accepted, and not lost: see [`PublishError::Unavailable`].
    async fn publish(&self, to: &Destination, message: Message) -> Result<Receipt, PublishError> {
        self.publish_after(to, message, Duration::ZERO).await
    }
}

impl PgQueue {
    /// Like [`Publisher::publish`], and no consumer gets the message before `delay` is over.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn publish_after(
        &self,
        to: &Destination,
        message: Message,
        delay: Duration,
    ) -> Result<Receipt, PublishError> {
        let refuse = |detail: String| Err(PublishError::Rejected(format!("{to}: {detail}")));
        if let Err(error) = names::check(to.name()) {
            return refuse(error.to_string());
        }
        if message.payload.len() > PAYLOAD_MAX_BYTES {
            return refuse(format!(
                "{} bytes, {PAYLOAD_MAX_BYTES} are allowed",
                message.payload.len()
            ));
        }
        let reached = match to {
            Destination::Topic(_) => return refuse("the queue has no topics".into()),
            Destination::Queue(queue) => store::send(&self.pool, queue, &message, delay).await,
            Destination::Exchange(exchange) => {
                store::fan_out(&self.pool, exchange, &message, delay).await
            }
        };
        let queues = reached.map_err(|error| classify(to, &error))?;
        if queues.is_empty() {
            return Err(unroutable(to));
        }
        queues.iter().for_each(|queue| self.wakes.ring(queue));
        Ok(Receipt::default())
    }
}

/// Data that PostgreSQL does not take (class 22: a zero byte in a text; 54: too large) will not be
/// taken next time either. Everything else may: also missing tables, which somebody will install.
fn classify(to: &Destination, error: &sqlx::Error) -> PublishError {
    let code = error.as_database_error().and_then(|e| e.code());
    let detail = format!("{to}: {error}");
    match code.as_deref() {
        Some(code) if code.starts_with("22") || code.starts_with("54") => {
            PublishError::Rejected(detail)
        }
        _ => PublishError::Unavailable(detail),
    }
}
