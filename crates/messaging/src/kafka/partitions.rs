//! The partitions that this member owns, and the worker of each.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::worker::{Shared, Worker};

/// How long a worker that was told to give up at once may take to do so.
const ABORT_DEADLINE: Duration = Duration::from_millis(500);

/// Starts and stops the workers. Called from the polling thread only, by the callbacks `C` of the client.
pub(super) struct Partitions<C: ConsumerContext + 'static> {
    runtime: Handle,
    shared: Arc<Shared>,
    // Weak, since the client owns its context, which owns this.
    consumer: OnceLock<Weak<BaseConsumer<C>>>,
    running: Mutex<HashMap<(String, i32), Running>>,
}

struct Running {
    stop: CancellationToken,
    abort: AbortHandle,
    // Never sent to: it is disconnected when the worker's task is gone, however it ended. Unlike a
    // JoinHandle it can be waited for without the runtime, which may be gone first.
    gone: mpsc::Receiver<Infallible>,
}

impl<C: ConsumerContext + 'static> Partitions<C> {
    pub(super) fn new(runtime: Handle, shared: Shared) -> Self {
        Self {
            runtime,
            shared: Arc::new(shared),
            consumer: OnceLock::new(),
            running: Mutex::new(HashMap::new()),
        }
    }

    pub(super) fn connect(&self, consumer: &Arc<BaseConsumer<C>>) {
        self.consumer.get_or_init(|| Arc::downgrade(consumer));
    }

    /// Gives each partition a queue of its own and a worker that reads it.
    pub(super) fn start(&self, partitions: &[(String, i32)]) {
        // A client that is being closed has no partitions any more.
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else {
            return;
        };
        self.stop(partitions);
        let mut running = self.running.lock();
        for (topic, partition) in partitions {
            if let Some(worker) = self.start_one(&consumer, topic, *partition) {
                running.insert((topic.clone(), *partition), worker);
            }
        }
        tracing::info!(
            group = self.shared.options.group,
            count = partitions.len(),
            "partitions were assigned"
        );
    }

    fn start_one(
        &self,
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
    ) -> Option<Running> {
        let mut queue = consumer.split_partition_queue(topic, partition)?;
        let ready = Arc::new(Notify::new());
        let wake = Arc::clone(&ready);
        queue.set_nonempty_callback(move || wake.notify_one());
        let stop = CancellationToken::new();
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            consumer: Arc::clone(consumer),
            queue,
            ready,
            topic: topic.to_owned(),
            partition,
            stop: stop.clone(),
        };
        let (alive, gone) = mpsc::sync_channel::<Infallible>(1);
        let work = async move {
            let _alive = alive;
            worker.run().await;
        };
        let task = self.runtime.spawn(work.in_current_span());
        Some(Running {
            stop,
            abort: task.abort_handle(),
            gone,
        })
    }

    /// A partition whose worker has ended by itself, which it does only by a bug: nobody reads the partition any more, while the
    /// broker believes that we do.
    pub(super) fn abandoned(&self) -> Option<(String, i32)> {
        let running = self.running.lock();
        let gone = running.iter().find(|(_, worker)| worker.is_gone());
        gone.map(|(name, _)| name.clone())
    }

    /// Stops these workers and waits until each has finished its current message.
    pub(super) fn stop(&self, partitions: &[(String, i32)]) {
        let mut running = self.running.lock();
        let stopping = partitions
            .iter()
            .filter_map(|name| running.remove_entry(name))
            .collect();
        drop(running);
        self.drain(stopping);
    }

    /// Stops all workers.
    pub(super) fn stop_all(&self) {
        let mut running = self.running.lock();
        let stopping = running.drain().collect();
        drop(running);
        self.drain(stopping);
    }

    fn drain(&self, stopping: Vec<((String, i32), Running)>) {
        if stopping.is_empty() {
            return;
        }
        for (_, worker) in &stopping {
            worker.stop.cancel();
        }
        let deadline = Instant::now() + self.shared.options.drain;
        let late: Vec<_> = stopping
            .into_iter()
            .filter(|(_, worker)| !worker.gone_by(deadline))
            .collect();
        for ((topic, partition), worker) in &late {
            tracing::warn!(
                topic,
                partition,
                "a handler did not finish in time and is cancelled; its message is delivered again"
            );
            worker.abort.abort();
        }
        let deadline = Instant::now() + ABORT_DEADLINE;
        for (_, worker) in &late {
            worker.gone_by(deadline);
        }
    }
}

impl Running {
    fn is_gone(&self) -> bool {
        matches!(self.gone.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }

    fn gone_by(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        !matches!(
            self.gone.recv_timeout(left),
            Err(mpsc::RecvTimeoutError::Timeout)
        )
    }
}
