//! A consumer: handles up to `concurrency` messages at once, and reconnects as often as needed, until shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use futures::StreamExt;
use lapin::Consumer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::SYSTEM;
use super::address::Address;
use super::blocked::{self, Alarms};
use super::give_back::{self, InHand};
use super::session::Session;
use super::work::Worker;
use crate::observe::Place;
use crate::{ConsumeOptions, Handler, Status};

/// The pauses between two tries to reach the broker: the first, and the longest.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How often the length of the queue is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Runs until `shutdown`, then until the messages in progress are finished or the drain time is over.
pub(super) async fn run(
    address: &Address,
    queue: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
    alarms: Alarms,
    shutdown: CancellationToken,
) {
    let prefetch = u16::try_from(options.concurrency)
        .unwrap_or(u16::MAX)
        .max(1);
    let drain = options.drain;
    let mut consumer = Deliveries {
        worker: Arc::new(Worker::new(queue, options, handler)),
        hands: Arc::new(Semaphore::new(prefetch.into())),
        tasks: JoinSet::new(),
        alarms,
        shutdown,
    };
    let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
    loop {
        let opened = consumer
            .shutdown
            .run_until_cancelled(Session::open(address, queue, prefetch));
        let reason = match opened.await {
            None => break,
            Some(Err(error)) => error.to_string(),
            Some(Ok((session, stream))) => {
                backoff.reset();
                tracing::debug!(queue, "the queue's consumer is connected");
                status.up();
                match consumer.serve(session, stream, &status, drain).await {
                    Ended::Lost(reason) => reason,
                    Ended::Shutdown => return,
                }
            }
        };
        status.down(format!("the queue's broker: {reason}"));
        let pause = tokio::time::sleep(backoff.next());
        if consumer.shutdown.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    // Without a broker, handlers of an earlier connection still finish: their messages cannot be acknowledged and are delivered
    // again, but a partial effect is worse than a repeated one.
    consumer.finish(drain).await;
}

/// Why a connection ended.
enum Ended {
    Shutdown,
    Lost(String),
}

struct Deliveries {
    worker: Arc<Worker>,
    // Shared by all connections: messages of a lost one may still be in progress.
    hands: Arc<Semaphore>,
    tasks: JoinSet<()>,
    /// The alarms of the connection that publishes to the queue; the broker does not report them to one that only consumes.
    alarms: Alarms,
    shutdown: CancellationToken,
}

impl Deliveries {
    /// Handles what a connection delivers until it ends, and closes it.
    async fn serve(
        &mut self,
        session: Session,
        stream: Consumer,
        status: &Status,
        drain: Duration,
    ) -> Ended {
        let session = Arc::new(session);
        let ended = self.run(&session, stream, status).await;
        if matches!(ended, Ended::Shutdown) {
            // While the connection is open: what finishes now is still acknowledged.
            self.finish(drain).await;
        }
        session.close().await;
        ended
    }

    /// Begins the work on each message as it comes, as many at once as there are hands.
    async fn run(
        &mut self,
        session: &Arc<Session>,
        mut stream: Consumer,
        status: &Status,
    ) -> Ended {
        let (queue, alarms) = (self.worker.queue.clone(), self.alarms.clone());
        let telling = async {
            tokio::select! {
                () = tell_of_alarms(session, alarms, status) => {}
                never = measure(session, &queue) => match never {},
            }
        };
        let mut telling = std::pin::pin!(telling);
        loop {
            while self.tasks.try_join_next().is_some() {}
            let hand = tokio::select! {
                hand = Arc::clone(&self.hands).acquire_owned() => hand,
                () = &mut telling => return Ended::Lost("the connection failed".into()),
                () = self.shutdown.cancelled() => break,
                () = session.broken.cancelled() => return Ended::Lost("the connection failed".into()),
            };
            let delivery = tokio::select! {
                delivery = stream.next() => delivery,
                () = &mut telling => return Ended::Lost("the connection failed".into()),
                () = self.shutdown.cancelled() => break,
                () = session.broken.cancelled() => return Ended::Lost("the connection failed".into()),
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let worker = Arc::clone(&self.worker);
                    let message = InHand::new(session, delivery);
                    let work = async move {
                        worker.work(message).await;
                        drop(hand);
                    };
                    self.tasks.spawn(work.in_current_span());
                }
                Some(Err(error)) => return Ended::Lost(error.to_string()),
                None => return Ended::Lost("the broker ended the subscription".into()),
            }
        }
        if session.cancel(&stream).await {
            give_back_unbegun(&queue, session, stream).await;
        }
        Ended::Shutdown
    }

    /// Waits for the messages in progress; those that take longer than `drain` are cancelled.
    async fn finish(&mut self, drain: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all).await.is_err() {
            tracing::warn!(
                queue = self.worker.queue,
                count = self.tasks.len(),
                "messages that did not finish in time are cancelled and delivered again"
            );
            self.tasks.shutdown().await;
            self.worker.give_back().await;
        }
    }
}

/// Measures how many messages wait, for as long as this is polled.
async fn measure(session: &Session, queue: &str) -> Infallible {
    let lag = Place {
        system: SYSTEM,
        destination: queue,
        group: None,
    }
    .lag();
    loop {
        if let Some(waiting) = session.waiting(queue).await {
            lag.set(f64::from(waiting));
        }
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}

/// Reports each alarm of the broker, and its end: messages that are published, acknowledgements and copies for a retry wait
/// for it. Ends with the connection.
async fn tell_of_alarms(session: &Session, mut publishing: Alarms, status: &Status) {
    let mut own = session.blocked().changes();
    // An alarm may be older than this consumer.
    publishing.mark_changed();
    loop {
        tokio::select! {
            changed = own.changed() => if changed.is_err() {
                return;
            },
            Ok(()) = publishing.changed() => {}
        }
        let alarm = session.blocked().reason();
        let alarm = alarm.or_else(|| blocked::explained(&publishing));
        status.tell(alarm.map_or(Ok(()), |alarm| Err(format!("the queue's broker: {alarm}"))));
    }
}

/// Returns at once the messages that were delivered and not begun, without waiting for those in progress.
async fn give_back_unbegun(queue: &str, session: &Arc<Session>, mut stream: Consumer) {
    let mut unbegun = Vec::new();
    while let Some(Ok(delivery)) = stream.next().await {
        unbegun.push(Arc::new(InHand::new(session, delivery)));
    }
    give_back::all(queue, &unbegun).await;
}
