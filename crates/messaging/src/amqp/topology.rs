//! Queues, exchanges and bindings. Each call takes a fresh channel: a refusal closes it.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

use crate::{MessagingError, names};

/// A queue and its dead-letter queue.
pub(super) async fn declare(channel: &Channel, queue: &str) -> Result<(), MessagingError> {
    for name in [queue, &names::dead(queue)] {
        queue_declare(channel, name, quorum()).await?;
    }
    Ok(())
}

/// A fanout exchange.
pub(super) async fn exchange(channel: &Channel, name: &str) -> Result<(), MessagingError> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            name.into(),
            ExchangeKind::Fanout,
            durable,
            FieldTable::default(),
        )
        .await
        .map_err(|error| refused(&format!("the exchange {name}"), &error))
}

/// The exchange, and the queue at it.
pub(super) async fn bind(channel: &Channel, name: &str, queue: &str) -> Result<(), MessagingError> {
    exchange(channel, name).await?;
    channel
        .queue_bind(
            queue.into(),
            name.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .map_err(|error| refused(&format!("the queue {queue}"), &error))
}

/// Declares the queue in which messages of `queue` wait for `delay` at most, and returns its name. It never expires,
/// although it may be empty for ever: an expiring queue would lose what arrives at that moment.
pub(super) async fn retry_queue(
    channel: &Channel,
    queue: &str,
    delay: Duration,
) -> Result<String, MessagingError> {
    let (name, milliseconds) = retry_name(queue, delay);
    let mut arguments = quorum();
    let mut add = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    add("x-message-ttl", AMQPValue::LongLongInt(milliseconds));
    // The default exchange: straight back to the queue of that name.
    add("x-dead-letter-exchange", AMQPValue::LongString("".into()));
    add(
        "x-dead-letter-routing-key",
        AMQPValue::LongString(queue.into()),
    );
    // By default an expired message is removed before the next queue has stored it.
    add(
        "x-dead-letter-strategy",
        AMQPValue::LongString("at-least-once".into()),
    );
    add("x-overflow", AMQPValue::LongString("reject-publish".into()));
    queue_declare(channel, &name, arguments).await?;
    Ok(name)
}

/// The name of a retry queue, and its delay in whole milliseconds, at least one.
pub(super) fn retry_name(queue: &str, delay: Duration) -> (String, i64) {
    let milliseconds = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX).max(1);
    (format!("{queue}.retry.{milliseconds}"), milliseconds)
}

async fn queue_declare(
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<(), MessagingError> {
    channel
        .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .map(drop)
        .map_err(|error| refused(&format!("the queue {name}"), &error))
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    // RabbitMQ 4 would drop a message that came back 20 times. Tries are counted here, and parked.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(-1));
    arguments
}

/// Two errors are final. Everything else may pass, a missing permission too: somebody may still grant it.
pub(super) fn refused(what: &str, error: &lapin::Error) -> MessagingError {
    let ErrorKind::ProtocolError(answer) = error.kind() else {
        return MessagingError::Unavailable(error.to_string());
    };
    match answer.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            MessagingError::Name(format!("{what} was not declared"))
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => MessagingError::Config(format!(
            "{what} is there with other properties: {}",
            answer.get_message()
        )),
        _ => MessagingError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_queue_is_named_after_its_delay() {
        for (delay, name) in [
            (Duration::from_millis(500), "jobs.retry.500"),
            (Duration::from_secs(60), "jobs.retry.60000"),
            (Duration::ZERO, "jobs.retry.1"),
        ] {
            assert_eq!(retry_name("jobs", delay).0, name);
        }
    }
}
