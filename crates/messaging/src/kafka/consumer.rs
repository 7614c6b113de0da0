//! A member of a consumer group, from its start to its last commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::Backoff;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::config::Protocol;
use super::session::{self, Closing, End, Setup};
use super::unread::Unread;
use super::{ConsumerOptions, KafkaConfig, count, names, retries};
use crate::{Handler, MessagingError, Status};

/// How much longer than the drain it may take until no handler is left.
const DRAIN_GRACE: Duration = Duration::from_millis(250);
/// How long the last commit and the goodbye to the group may take after the drain.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// The longest pause before a client that failed for good is replaced.
const RESTART_CAP: Duration = Duration::from_secs(5);

/// Consumes until `shutdown`, then finishes the messages in hand, commits and leaves the group.
///
/// Each partition is handled in its order, one message after the other (or several at once, see
/// [`Handler::handle_batch`]); partitions in parallel. The offset of a message is stored after its
/// effect: it is at least once, never skipped.
///
/// * Transient failure: tried again in place, without end. Nothing of the partition overtakes it.
/// * Permanent failure, or [`crate::MAX_PANICS`] panics: published to `<topic>.<group>.dlq` with its
///   reason ([`crate::dead_letter`]), and only then passed. What is sent again from there
///   ([`crate::dead_letters`]) is handled like any other message.
///
/// A cluster that is away and topics that do not exist yet are waited for and reported to `status`.
/// Dropping the future stops the consumer too, without waiting for it.
///
/// # Errors
/// [`MessagingError::Config`] when librdkafka refuses a setting, [`MessagingError::Name`] for a group that cannot be a part of the
/// name of a topic.
pub async fn consume(
    config: &KafkaConfig,
    options: ConsumerOptions,
    handler: Arc<dyn Handler>,
    status: Status,
    shutdown: CancellationToken,
) -> Result<(), MessagingError> {
    names::check(&options)?;
    let stop = shutdown.child_token();
    let _stops_when_dropped = stop.clone().drop_guard();
    let drained = CancellationToken::new();
    let (retry_options, retry_handler, no_more) =
        (options.clone(), Arc::clone(&handler), stop.clone());
    let too_late = closing_time(shutdown, options.drain + DRAIN_GRACE, drained.clone());
    let setup = Setup {
        config: config.clone(),
        unread: Arc::new(Unread::new(options.unread.clone())),
        options: Arc::new(options),
        handler,
        status,
        stop,
        drained,
        runtime: Handle::current(),
        closing: Closing::default(),
        protocol: Protocol::Consumer,
        has_failed: false,
    };
    let ended = spawn(setup)?;
    let retries = retries::run(&retry_options, &retry_handler, &no_more);
    let counted = count::run(config, &retry_options, &no_more);
    let consumed = async {
        let ended = until_ended(ended, too_late).await;
        // However it ended: the others would go on, and nobody would hear that the consumer does not.
        no_more.cancel();
        ended
    };
    let (ended, (), ()) = tokio::join!(consumed, retries, counted);
    ended
}

async fn until_ended(
    ended: oneshot::Receiver<Result<(), MessagingError>>,
    too_late: impl Future<Output = ()>,
) -> Result<(), MessagingError> {
    tokio::select! {
        result = ended => flatten(result),
        () = too_late => {
            tracing::warn!("the last commit of offsets takes too long; stopping without it");
            Ok(())
        }
    }
}

/// Ends when nobody should wait for the consumer any longer. Without a broker there is no last
/// commit, and librdkafka waits for one without end.
async fn closing_time(shutdown: CancellationToken, drain: Duration, drained: CancellationToken) {
    shutdown.cancelled().await;
    let _either_way = tokio::time::timeout(drain, drained.cancelled()).await;
    tokio::time::sleep(CLOSE_DEADLINE).await;
}

fn flatten<T>(
    result: Result<Result<T, MessagingError>, oneshot::error::RecvError>,
) -> Result<T, MessagingError> {
    result.unwrap_or_else(|_| {
        Err(MessagingError::Config(
            "the consumer's thread panicked".into(),
        ))
    })
}

/// An OS thread of its own, since librdkafka's poll blocks, and since a revocation must wait for
/// handlers without holding up the runtime that they run on.
fn spawn(setup: Setup) -> Result<oneshot::Receiver<Result<(), MessagingError>>, MessagingError> {
    let (done, ended) = oneshot::channel();
    // The thread's spans and lines belong to whoever consumes.
    let span = tracing::Span::current();
    std::thread::Builder::new()
        .name(format!("kafka {}", setup.options.group))
        .spawn(move || {
            let _nobody_waits = done.send(span.in_scope(|| sessions(setup)));
        })
        .map_err(|error| MessagingError::Config(format!("no thread for the consumer: {error}")))?;
    Ok(ended)
}

/// One session after the other: a fatal error of the client is healed by a new client.
fn sessions(mut setup: Setup) -> Result<(), MessagingError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), RESTART_CAP);
    let mut first = true;
    loop {
        match session::run(&setup) {
            Ok(End::Stopped) => return Ok(()),
            Ok(End::Unsupported) if setup.protocol == Protocol::Consumer => {
                tracing::info!(
                    group = setup.options.group,
                    "the brokers do not support Kafka's newer protocol of consumer groups (KIP-848); using the classic one with the cooperative assignor"
                );
                setup.protocol = Protocol::Classic;
                continue;
            }
            Ok(End::Renewed) => {
                tracing::debug!(
                    group = setup.options.group,
                    "a consumer without partitions joins its group anew"
                );
                continue;
            }
            Ok(End::Unsupported) => setup
                .status
                .down("the brokers support no protocol of consumer groups that this client knows"),
            Ok(End::Failed(reason)) => {
                setup.has_failed = true;
                setup
                    .status
                    .down(format!("the Kafka consumer starts over: {reason}"));
            }
            Err(error) if first => return Err(error),
            Err(error) => setup.status.down(error.to_string()),
        }
        first = false;
        pause(backoff.next(), &setup);
    }
}

/// In short steps instead of on the runtime, which may be gone before this thread is.
fn pause(delay: Duration, setup: &Setup) {
    const STEP: Duration = Duration::from_millis(50);
    let end = Instant::now() + delay;
    while Instant::now() < end && !setup.stop.is_cancelled() {
        std::thread::sleep(STEP);
    }
}
