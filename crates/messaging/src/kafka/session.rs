//! One life of a client: subscribe, poll the group's events, close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::config::Protocol;
use super::context::Context;
use super::dead_letters::DeadLetters;
use super::lag::Lag;
use super::logging::Logging;
use super::membership::Membership;
use super::partitions::Partitions;
use super::probe::Probe;
use super::protocol::Support;
use super::unread::Unread;
use super::worker::Shared;
use super::{ConsumerOptions, KafkaConfig};
use crate::{Handler, MessagingError, Status};

/// The longest time until a request to stop is noticed. Messages do not come this way, so it is no
/// part of their latency.
const POLL: Duration = Duration::from_millis(100);
/// How many times longer than for an answer a client waits for partitions before it is replaced. Either the group has more
/// members than partitions, and the new client gets none as well, or the broker has forgotten the member without telling it.
const UNASSIGNED_PATIENCE: u32 = 20;

/// What a session is made of.
pub(super) struct Setup {
    pub(super) config: KafkaConfig,
    pub(super) options: Arc<ConsumerOptions>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) status: Status,
    pub(super) unread: Arc<Unread>,
    pub(super) stop: CancellationToken,
    /// Cancelled when no message is in hand after a stop: what remains is the last commit.
    pub(super) drained: CancellationToken,
    pub(super) runtime: Handle,
    pub(super) closing: Closing,
    pub(super) protocol: Protocol,
    /// Whether the last client failed.
    pub(super) has_failed: bool,
}

/// Replaced clients that are still closing: without its cluster a client never finishes closing.
#[derive(Clone, Default)]
pub(super) struct Closing(Arc<()>);

impl Closing {
    /// The most of them; beyond that the current client is kept until one has closed.
    const MAX: usize = 3;

    fn has_room(&self) -> bool {
        // One count is our own handle.
        Arc::strong_count(&self.0) <= Self::MAX
    }
}

/// Why a session ended.
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The client cannot go on; a new one can.
    Failed(String),
    /// It has had no partitions for so long that a new client shall ask for some.
    Renewed,
    /// The brokers do not know the protocol of the group; a new client can use the older one.
    Unsupported,
}

/// Runs a client until it is told to stop or cannot go on.
pub(super) fn run(setup: &Setup) -> Result<End, MessagingError> {
    let shared = Shared {
        options: Arc::clone(&setup.options),
        handler: Arc::clone(&setup.handler),
        dead_letters: DeadLetters::new(&setup.config, &setup.options),
        unread: Arc::clone(&setup.unread),
    };
    let partitions = Arc::new(Partitions::new(setup.runtime.clone(), shared));
    let context = Context {
        partitions: Arc::clone(&partitions),
        // Until the cluster has answered once.
        disconnected: AtomicBool::new(true),
        membership: Membership::default(),
        lag: Lag::of(&setup.options.group),
        support: Support::default(),
        logging: Logging::default(),
    };
    let consumer: BaseConsumer<Context> = setup
        .config
        .consumer(&setup.options.group, setup.protocol)
        .create_with_context(context)
        .map_err(|error| MessagingError::Config(error.to_string()))?;
    let consumer = Arc::new(consumer);
    partitions.connect(&consumer);

    let end = poll(setup, &consumer);

    partitions.stop_all();
    if setup.stop.is_cancelled() {
        setup.drained.cancel();
    }
    match end {
        End::Stopped => close(consumer),
        // On a thread of its own: without its cluster a client never finishes closing, and the next client must not
        // wait for that.
        End::Failed(_) | End::Renewed | End::Unsupported => {
            std::thread::Builder::new()
                .name(format!("kafka {} closing", setup.options.group))
                .spawn({
                    let place = setup.closing.clone();
                    move || {
                        close(consumer);
                        drop(place);
                    }
                })
                .map_err(|error| MessagingError::Config(format!("no thread: {error}")))?;
        }
    }
    Ok(end)
}

/// Dropping a client commits what is stored and leaves the group. A handler that does not yield may still hold a
/// reference: then both are done here, and not when that handler ends.
fn close(consumer: Arc<BaseConsumer<Context>>) {
    if Arc::strong_count(&consumer) > 1 && consumer.close_queue().is_ok() {
        while !consumer.closed() {
            consumer.poll(POLL);
        }
    }
}

fn poll(setup: &Setup, consumer: &Arc<BaseConsumer<Context>>) -> End {
    let mut probe = Probe::new(&setup.options, &setup.unread, setup.has_failed);
    while !setup.stop.is_cancelled() {
        if let Some(end) = poll_once(setup, consumer) {
            return end;
        }
        let silent_for = probe.run_if_due(&setup.status, consumer);
        if silent_for.is_some_and(|time| may_replace(setup, time)) {
            return End::Failed("no answer for too long".to_owned());
        }
        if consumer.context().support.is_missing() {
            return End::Unsupported;
        }
        if let Some((topic, partition)) = consumer.context().partitions.abandoned() {
            return End::Failed(format!(
                "the worker of {topic}, partition {partition}, panicked"
            ));
        }
        let membership = &consumer.context().membership;
        membership.confirm(
            consumer,
            setup.options.replace_after,
            setup.config.reads_from_beginning(),
        );
        let forgotten_for = membership.forgotten_for();
        if forgotten_for.is_some_and(|time| may_replace(setup, time)) {
            return End::Failed(
                "the broker does not take the consumer back into its group".to_owned(),
            );
        }
        let unassigned_for = membership.unassigned_for();
        if unassigned_for.is_some_and(|time| may_replace(setup, time / UNASSIGNED_PATIENCE)) {
            return End::Renewed;
        }
    }
    End::Stopped
}

/// Serves the client's callbacks for a moment. Returns how the session ends, if it does.
fn poll_once(setup: &Setup, consumer: &BaseConsumer<Context>) -> Option<End> {
    match consumer.poll(POLL) {
        None => None,
        // Partitions have their own queues before they are assigned, so nothing should come
        // here. If it did, order could not be kept any more: start over from what is stored.
        Some(Ok(message)) => Some(End::Failed(format!(
            "a message of {} did not come through its partition's queue",
            message.topic()
        ))),
        Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
            Some(fatal(consumer).unwrap_or_else(|| End::Failed(format!("fatal: {code}"))))
        }
        // Reported once, then the client stays silent: a new client asks again.
        Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed))) => {
            let group = &setup.options.group;
            Some(End::Failed(format!(
                "the account may not read as the group {group}"
            )))
        }
        Some(Err(error)) => {
            let context = consumer.context();
            // An account may be refused at any time: brokers ask for it at each new connection.
            if context.logging.refusal.note(&error) || is_about_a_topic(&error) {
                context.disconnected.store(true, Ordering::Relaxed);
            }
            tracing::debug!(%error, "an error of the Kafka consumer");
            None
        }
    }
}

/// Whether a topic of the subscription is gone, or the right to it: the probe finds out which.
fn is_about_a_topic(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed
        )
    )
}

/// What a fatal error of the client means.
fn fatal(consumer: &BaseConsumer<Context>) -> Option<End> {
    let (code, reason) = consumer.client().fatal_error()?;
    Some(match code {
        RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion => {
            End::Unsupported
        }
        _ => End::Failed(format!("fatal: {reason}")),
    })
}

/// Whether a client that has not worked for this long is replaced by a new one.
fn may_replace(setup: &Setup, useless_for: Duration) -> bool {
    useless_for >= setup.options.replace_after && setup.closing.has_room()
}

#[cfg(test)]
mod tests {
    use super::Closing;

    #[test]
    fn clients_that_cannot_be_closed_do_not_pile_up() {
        let closing = Closing::default();
        let mut places = Vec::new();
        while closing.has_room() {
            places.push(closing.clone());
            assert!(places.len() <= Closing::MAX);
        }
        assert_eq!(places.len(), Closing::MAX);
        places.pop();
        assert!(closing.has_room(), "one is gone");
    }
}
