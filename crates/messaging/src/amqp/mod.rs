//! A durable work queue in RabbitMQ: competing consumers, delay, dead letters and fanout over AMQP 0-9-1.
//!
//! Every queue is a *quorum queue*: replicated where there is more than one broker, and synced to disk before the
//! publisher's message is confirmed. A message is acknowledged only after its effect; until then the broker keeps it
//! for this connection and gives it to another consumer when the connection ends.
//!
//! A message that fails is published again to a *retry queue*, `<queue>.retry.<milliseconds>`, where it expires and is
//! dead-lettered back to its queue; or to `<queue>.dead` when its tries are used up. The copy is confirmed before the
//! original is acknowledged: a crash between the two duplicates the message and never loses it. There is a retry queue
//! for each step of the backoff, made when it is first needed. One queue with a delay for each message would not do:
//! RabbitMQ looks at the head only, so a long delay would hold up the short ones behind it. The plugin for delayed
//! messages is not used: it keeps them on one node only.
//!
//! A consumer is given as many messages ahead as it handles at once ([`ConsumeOptions::concurrency`] is the prefetch): a
//! message that waits in a busy consumer could be handled by an idle one, and the round trip to the broker is short beside
//! a handler. Consumer priorities are not used: all consumers of a queue are replicas, and a broker that serves the one
//! with the higher priority first leaves the others idle, in which nobody notices that they cannot work.
//!
//! A broker that is short of memory or disk space blocks connections that publish. This is backpressure: publishers wait
//! up to [`PUBLISH_DEADLINE`] and then fail with [`crate::PublishError::Unavailable`] and the broker's reason, consumers
//! report it to their status, and no connection is given up for it.
//!
//! Topology is declared by whoever needs it: a publisher its exchange, a consumer its queues and bindings.
//! Declaring what is there is no change, so all may do it at once and again after each reconnection.
//!
//! Limits: a payload is at most [`PAYLOAD_MAX_BYTES`], headers at most [`HEADERS_MAX_BYTES`] in all; a publisher
//! has at most [`MAX_IN_FLIGHT`] messages without an answer, a consumer as many in hand as its options say. The
//! broker closes the channel of a consumer that keeps a message longer than its own `consumer_timeout` (30
//! minutes). Order is not promised.
//!
//! `amqps://user:password@host:5671/vhost?cacertfile=FILE` is TLS: the broker's certificate has to come from that authority,
//! and to be for that host. `certfile` and `keyfile` are the client's own.

mod address;
mod blocked;
mod consume;
mod dead_letters;
mod give_back;
mod outlet;
mod publish;
mod session;
mod tls;
mod topology;
mod wire;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::dead_letters::{DeadLetterStore, gauge};
pub use crate::queue::PAYLOAD_MAX_BYTES;
use crate::{ConsumeOptions, Handler, MessagingError, Queue, Status, names};
use address::Address;
#[cfg(feature = "clap")]
pub(crate) use address::check;
pub use dead_letters::{AmqpDeadLetters, HELD_MAX};
use publish::Sender;
pub use publish::{MAX_IN_FLIGHT, PUBLISH_DEADLINE};
pub use wire::{HEADERS_MAX_BYTES, KEY_HEADER};

/// What metrics call this engine.
const SYSTEM: &str = "rabbitmq";

/// The queue. Clones share one connection to publish with; each consumer has one of its own, since RabbitMQ
/// holds back the whole connection of a publisher that is too fast, and acknowledgements with it.
#[derive(Debug, Clone)]
pub struct AmqpQueue {
    address: Arc<Address>,
    sender: Arc<Sender>,
}

impl AmqpQueue {
    /// A queue on the broker at `url`, such as `amqp://user:password@host:5672/vhost`. Connects when it is first
    /// needed. `service` names the connections on the broker's pages.
    ///
    /// # Errors
    /// [`MessagingError::Config`] for a URL that cannot be used; it never quotes the password.
    pub fn new(url: &str, service: &str) -> Result<Self, MessagingError> {
        let address = Arc::new(Address::parse(url, service)?);
        let sender = Arc::new(Sender::new(Arc::clone(&address)));
        Ok(Self { address, sender })
    }
}

#[async_trait]
impl Queue for AmqpQueue {
    async fn install(&self) -> Result<(), MessagingError> {
        self.sender.channel().await.map(drop)
    }

    async fn declare(&self, queue: &str) -> Result<(), MessagingError> {
        names::check(queue)?;
        topology::declare(&self.sender.channel().await?, queue).await
    }

    async fn bind(&self, exchange: &str, queue: &str) -> Result<(), MessagingError> {
        names::check(exchange)?;
        names::check(queue)?;
        topology::bind(&self.sender.channel().await?, exchange, queue).await
    }

    fn dead_letters(&self, queues: &[String]) -> Box<dyn DeadLetterStore> {
        Box::new(AmqpDeadLetters::at(&self.address, queues))
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
        let letters = AmqpDeadLetters::at(&self.address, &[queue.to_owned()]);
        let letters = letters.counted_over(&self.sender);
        let told = options.dead_letters.clone();
        let counted = gauge::run(&letters, &told, &shutdown);
        let stop = shutdown.clone();
        let alarms = self.sender.alarms();
        let consumed = consume::run(&self.address, queue, options, handler, status, alarms, stop);
        tokio::join!(consumed, counted);
        Ok(())
    }
}
