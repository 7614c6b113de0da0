//! One connection of a consumer, from the declaration of its queues to its end.

use std::collections::HashSet;
use std::time::Duration;

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, Consumer};
use tokio_util::sync::CancellationToken;

use super::address::{self, Address};
use super::blocked::Blocked;
use super::outlet::{Outlet, Refusal};
use super::topology;
use crate::MessagingError;

/// How long the broker may take to confirm a copy.
const COPY_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to stop delivering.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// See the module. Messages in progress hold a reference, so that they can be acknowledged.
pub(super) struct Session {
    connection: Connection,
    deliveries: Channel,
    copies: Outlet,
    blocked: Blocked,
    // Retry queues that were declared over this connection.
    declared: parking_lot::Mutex<HashSet<String>>,
    /// Cancelled by whoever finds that the session cannot go on.
    pub(super) broken: CancellationToken,
}

impl Session {
    /// Connects, declares and begins to consume; at most `prefetch` messages are delivered before one is settled.
    pub(super) async fn open(
        address: &Address,
        queue: &str,
        prefetch: u16,
    ) -> Result<(Self, Consumer), MessagingError> {
        let unavailable = |error: lapin::Error| MessagingError::Unavailable(error.to_string());
        let connection = address.connect(queue).await?;
        let blocked = Blocked::of(&connection);
        let channel = connection.create_channel().await.map_err(unavailable)?;
        topology::declare(&channel, queue).await?;
        let deliveries = connection.create_channel().await.map_err(unavailable)?;
        deliveries
            .basic_qos(prefetch, BasicQosOptions::default())
            .await
            .map_err(unavailable)?;
        let copies = Outlet::open(&connection).await?;
        let consumer = deliveries
            .basic_consume(
                queue.into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(unavailable)?;
        let session = Self {
            connection,
            deliveries,
            copies,
            blocked,
            declared: parking_lot::Mutex::default(),
            broken: CancellationToken::new(),
        };
        Ok((session, consumer))
    }

    /// Cancels the subscription. Returns false if the broker did not answer.
    pub(super) async fn cancel(&self, consumer: &Consumer) -> bool {
        let cancel = self
            .deliveries
            .basic_cancel(consumer.tag(), BasicCancelOptions::default());
        matches!(
            tokio::time::timeout(CANCEL_TIMEOUT, cancel).await,
            Ok(Ok(()))
        )
    }

    /// The retry queue for `delay`, which is there when this returns.
    pub(super) async fn retry_queue(
        &self,
        queue: &str,
        delay: Duration,
    ) -> Result<String, MessagingError> {
        let (name, _) = topology::retry_name(queue, delay);
        let declared = || self.declared.lock();
        if !declared().contains(&name) {
            let channel = self.connection.create_channel().await;
            let channel =
                channel.map_err(|error| MessagingError::Unavailable(error.to_string()))?;
            topology::retry_queue(&channel, queue, delay).await?;
            declared().insert(name.clone());
        }
        Ok(name)
    }

    /// How many messages wait in the queue. `None` if the broker does not say.
    pub(super) async fn waiting(&self, queue: &str) -> Option<u32> {
        let channel = self.connection.create_channel().await.ok()?;
        let look = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let found = channel.queue_declare(queue.into(), look, FieldTable::default());
        let waiting = found.await.ok()?.message_count();
        // An error does no harm: the end of the connection closes the channel.
        let _closed = channel.close(200, "measured".into()).await;
        Some(waiting)
    }

    /// Whether the broker blocks this connection.
    pub(super) fn blocked(&self) -> &Blocked {
        &self.blocked
    }

    /// Stores a copy in a queue.
    pub(super) async fn copy(
        &self,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), String> {
        self.blocked.passes(COPY_DEADLINE).await?;
        match self
            .copies
            .send("", queue, properties, body, COPY_DEADLINE)
            .await
        {
            Ok(()) => Ok(()),
            Err(Refusal::Nack) => Err(format!(
                "the queue {queue} refuses messages: it is full, or most of its replicas are away"
            )),
            Err(Refusal::Unroutable) => {
                // The queue was deleted, so other declarations of this connection may be gone, too.
                self.broken.cancel();
                Err(format!("the queue {queue} does not exist any more"))
            }
            // Its answer comes when the alarm is over, like the acknowledgements that are on their way.
            Err(Refusal::Lost(_))
                if self.connection.status().connected() && self.blocked.reason().is_some() =>
            {
                Err(self.blocked.reason().unwrap_or_default())
            }
            Err(Refusal::Lost(reason)) => {
                self.broken.cancel();
                Err(reason)
            }
        }
    }

    /// Whether a message that was delivered here can still be acknowledged.
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
            && self.deliveries.status().connected()
            && !self.broken.is_cancelled()
    }

    /// Closes the connection. The broker delivers what was not acknowledged to others.
    pub(super) async fn close(&self) {
        // The channel first: its acknowledgements are on the way, and a connection that ends overtakes them.
        let channel = self.deliveries.close(200, "goodbye".into());
        let _gone = tokio::time::timeout(CANCEL_TIMEOUT, channel).await;
        address::close(&self.connection).await;
    }
}
