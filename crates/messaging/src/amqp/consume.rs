//! A consumer: takes as many messages as it has hands, over one connection after the other, until it is told
//! to stop.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::Consumer;
use lapin::options::BasicNackOptions;
use resilience::backoff::Backoff;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::session::Session;
use super::work::Worker;
use crate::{ConsumeOptions, Handler, Status};

/// The pauses between two tries to reach the broker: the first, and the longest.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Runs until `shutdown` and the end of the messages in hand, or until they took too long.
pub(super) async fn run(
    address: &Address,
    queue: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
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
        shutdown,
    };
    let mut broker = Broker::new(queue, status);
    loop {
        let opened = consumer
            .shutdown
            .run_until_cancelled(Session::open(address, queue, prefetch));
        let reason = match opened.await {
            None => break,
            Some(Err(error)) => error.to_string(),
            Some(Ok((session, stream))) => {
                broker.answered();
                let session = Arc::new(session);
                match consumer.run(&session, stream).await {
                    Ended::Lost(reason) => {
                        session.close().await;
                        reason
                    }
                    Ended::Shutdown => {
                        consumer.finish(drain).await;
                        session.close().await;
                        return;
                    }
                }
            }
        };
        let pause = tokio::time::sleep(broker.failed(&reason));
        if consumer.shutdown.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    // Without a broker, what is in hand from an earlier connection is finished all the same: it cannot be
    // acknowledged and comes again, but an effect that is half made helps nobody.
    consumer.finish(drain).await;
}

/// Why a connection is over.
enum Ended {
    Shutdown,
    Lost(String),
}

struct Deliveries {
    worker: Arc<Worker>,
    // Across connections: messages of a lost one may still be in hand.
    hands: Arc<Semaphore>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Deliveries {
    async fn run(&mut self, session: &Arc<Session>, mut stream: Consumer) -> Ended {
        loop {
            while self.tasks.try_join_next().is_some() {}
            let hand = tokio::select! {
                hand = Arc::clone(&self.hands).acquire_owned() => hand,
                () = self.shutdown.cancelled() => break,
                () = session.broken.cancelled() => return Ended::Lost("the connection failed".into()),
            };
            let delivery = tokio::select! {
                delivery = stream.next() => delivery,
                () = self.shutdown.cancelled() => break,
                () = session.broken.cancelled() => return Ended::Lost("the connection failed".into()),
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let (worker, session) = (Arc::clone(&self.worker), Arc::clone(session));
                    self.tasks.spawn(async move {
                        worker.work(&session, delivery).await;
                        drop(hand);
                    });
                }
                Some(Err(error)) => return Ended::Lost(error.to_string()),
                None => return Ended::Lost("the broker ended the subscription".into()),
            }
        }
        if session.cancel(&stream).await {
            give_back(stream).await;
        }
        Ended::Shutdown
    }

    /// Waits for what is in hand; what takes longer than `drain` is cut off.
    async fn finish(&mut self, drain: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all).await.is_err() {
            tracing::warn!(
                queue = self.worker.queue,
                count = self.tasks.len(),
                "messages in hand are given back"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Gives back at once what was delivered and nobody began: it must not wait for what is in hand.
async fn give_back(mut stream: Consumer) {
    while let Some(Ok(delivery)) = stream.next().await {
        let requeue = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        if delivery.nack(requeue).await.is_err() {
            return;
        }
    }
}

/// Whether the broker answers, told at each change.
struct Broker<'a> {
    queue: &'a str,
    status: Status,
    backoff: Backoff,
    up: Option<bool>,
}

impl<'a> Broker<'a> {
    fn new(queue: &'a str, status: Status) -> Self {
        Self {
            queue,
            status,
            backoff: Backoff::new(RECONNECT.0, RECONNECT.1),
            up: None,
        }
    }

    fn answered(&mut self) {
        self.backoff.reset();
        self.up = Some(true);
        tracing::info!(queue = self.queue, "the queue's consumer is connected");
        self.status.up();
    }

    /// Answers with the pause before the next try.
    fn failed(&mut self, reason: &str) -> Duration {
        if self.up != Some(false) {
            self.up = Some(false);
            tracing::warn!(
                queue = self.queue,
                reason,
                "the queue's consumer waits for its broker"
            );
        }
        self.status.down(format!("the queue's broker: {reason}"));
        self.backoff.next()
    }
}
