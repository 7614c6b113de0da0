//! A broker in memory: it writes down what it accepts and answers as the test tells it to.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use messaging::{Destination, Message, PublishError, Publisher};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

/// Longer than anything here takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A message as the broker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) destination: String,
    pub(crate) key: String,
    pub(crate) n: u64,
    pub(crate) message: Message,
}

/// What the broker does about a message before it answers.
pub(crate) type Behaviour =
    Box<dyn Fn(Seen) -> BoxFuture<'static, Result<(), PublishError>> + Send + Sync>;

pub(crate) struct Broker {
    behaviour: Mutex<Arc<Behaviour>>,
    accepted: watch::Sender<Vec<Seen>>,
    attempts: watch::Sender<Vec<Seen>>,
    in_flight: Mutex<HashMap<(String, String), usize>>,
    /// Messages that were in flight at once, at most.
    pub(crate) peak: AtomicUsize,
    /// Times that two messages of one key and destination were in flight at once.
    pub(crate) overlaps: AtomicUsize,
}

impl Broker {
    /// A broker that takes everything at once.
    pub(crate) fn new() -> Arc<Self> {
        Self::that(|_| async { Ok(()) })
    }

    pub(crate) fn that<F, Fut>(behaviour: F) -> Arc<Self>
    where
        F: Fn(Seen) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), PublishError>> + Send + 'static,
    {
        Arc::new(Self {
            behaviour: Mutex::new(Arc::new(boxed(behaviour))),
            accepted: watch::Sender::default(),
            attempts: watch::Sender::default(),
            in_flight: Mutex::default(),
            peak: AtomicUsize::new(0),
            overlaps: AtomicUsize::new(0),
        })
    }

    /// From now on it behaves like this.
    pub(crate) fn turn<F, Fut>(&self, behaviour: F)
    where
        F: Fn(Seen) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), PublishError>> + Send + 'static,
    {
        *self.behaviour.lock() = Arc::new(boxed(behaviour));
    }

    pub(crate) fn heal(&self) {
        self.turn(|_| async { Ok(()) });
    }

    pub(crate) fn accepted(&self) -> Vec<Seen> {
        self.accepted.borrow().clone()
    }

    pub(crate) fn attempts(&self) -> Vec<Seen> {
        self.attempts.borrow().clone()
    }

    /// The numbers of one key, in the order in which they were accepted.
    pub(crate) fn numbers(&self, key: &str) -> Vec<u64> {
        self.accepted
            .borrow()
            .iter()
            .filter(|seen| seen.key == key)
            .map(|seen| seen.n)
            .collect()
    }

    /// Waits until what was accepted is as `enough` wants it.
    pub(crate) async fn accepts(&self, what: &str, enough: impl FnMut(&Vec<Seen>) -> bool) {
        wait(&self.accepted, what, enough).await;
    }

    /// Waits until what was tried is as `enough` wants it.
    pub(crate) async fn tries(&self, what: &str, enough: impl FnMut(&Vec<Seen>) -> bool) {
        wait(&self.attempts, what, enough).await;
    }
}

async fn wait(log: &watch::Sender<Vec<Seen>>, what: &str, enough: impl FnMut(&Vec<Seen>) -> bool) {
    let mut log = log.subscribe();
    let waited = tokio::time::timeout(PATIENCE, log.wait_for(enough))
        .await
        .map(drop);
    if waited.is_err() {
        let seen: Vec<_> = log
            .borrow()
            .iter()
            .map(|seen| format!("{}/{}", seen.key, seen.n))
            .collect();
        panic!(
            "waited in vain for {what}; there are {} messages: {:.500}",
            seen.len(),
            seen.join(" ")
        );
    }
}

fn boxed<F, Fut>(behaviour: F) -> Behaviour
where
    F: Fn(Seen) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), PublishError>> + Send + 'static,
{
    Box::new(move |seen| Box::pin(behaviour(seen)))
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let data: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        let seen = Seen {
            destination: to.to_string(),
            key: message.key.clone().unwrap(),
            n: data["n"].as_u64().unwrap(),
            message,
        };
        let group = (seen.destination.clone(), seen.key.clone());
        {
            let mut in_flight = self.in_flight.lock();
            let now = in_flight.entry(group.clone()).or_default();
            *now += 1;
            if *now > 1 {
                self.overlaps.fetch_add(1, Ordering::Relaxed);
            }
            let all = in_flight.values().sum();
            self.peak.fetch_max(all, Ordering::Relaxed);
        }
        self.attempts.send_modify(|log| log.push(seen.clone()));
        let behaviour = Arc::clone(&self.behaviour.lock());
        let answer = behaviour(seen.clone()).await;
        *self.in_flight.lock().get_mut(&group).unwrap() -= 1;
        answer?;
        self.accepted.send_modify(|log| log.push(seen));
        Ok(())
    }
}

/// The error of a broker that is not there.
pub(crate) fn away() -> PublishError {
    PublishError::Unavailable("connection refused".into())
}

/// A broker that answers only when it is let.
pub(crate) fn gated() -> (Arc<Broker>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let broker = Broker::that(move |_| {
        let gate = Arc::clone(&waiting);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    });
    (broker, gate)
}
