//! Handlers that follow a script and remember what they saw, and waiting for conditions.

pub(crate) mod broker_proxy;
pub(crate) mod kafka;
#[path = "../../../src/logged.rs"]
#[allow(dead_code, reason = "the containers target reads no log")]
pub(crate) mod logged;
#[allow(dead_code, reason = "the containers target has real brokers")]
pub(crate) mod pg;
#[allow(dead_code, reason = "the containers target measures no lateness")]
pub(crate) mod stalls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use messaging::{Delivery, Handler, HandlerError, MessagingError, Status};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No test waits longer for anything, unless it says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

type Answer = Result<(), HandlerError>;
type Script = Box<dyn Fn(Delivery) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A handler that does what its script says and remembers each message that was done.
pub(crate) struct Recorder {
    script: Script,
    seen: Mutex<Vec<Delivery>>,
    done: watch::Sender<Vec<Delivery>>,
}

impl Recorder {
    /// Everything succeeds.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(|_| async { Ok(()) })
    }

    /// The script decides.
    pub(crate) fn with<F, R>(script: F) -> Arc<Self>
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Arc::new(Self {
            script: Box::new(move |delivery| Box::pin(script(delivery))),
            seen: Mutex::default(),
            done: watch::Sender::default(),
        })
    }

    /// Messages whose handler returned `Ok`, in that order.
    pub(crate) fn done(&self) -> Vec<Delivery> {
        self.done.borrow().clone()
    }

    /// Their bodies as text.
    pub(crate) fn done_bodies(&self) -> Vec<String> {
        self.done().iter().map(body).collect()
    }

    /// All calls, whatever became of them.
    pub(crate) fn seen(&self) -> Vec<Delivery> {
        self.seen.lock().clone()
    }

    /// Waits until that many are done.
    pub(crate) async fn wait_done(&self, count: usize) -> Vec<Delivery> {
        self.wait(&format!("{count} messages done"), |done| {
            done.len() >= count
        })
        .await
    }

    /// Waits until the messages that are done fulfil the condition.
    pub(crate) async fn wait(
        &self,
        what: &str,
        condition: impl FnMut(&Vec<Delivery>) -> bool,
    ) -> Vec<Delivery> {
        let mut done = self.done.subscribe();
        let found = tokio::time::timeout(PATIENCE, done.wait_for(condition)).await;
        match found {
            Ok(done) => done.unwrap().clone(),
            Err(_) => panic!("waited for {what}; done: {:?}", self.done_bodies()),
        }
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, delivery: &Delivery) -> Answer {
        self.seen.lock().push(delivery.clone());
        (self.script)(delivery.clone()).await?;
        self.done.send_modify(|done| done.push(delivery.clone()));
        Ok(())
    }
}

/// A body as text.
pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.payload.to_vec()).unwrap()
}

/// Waits for a condition that nothing announces.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// The same where it may take longer.
pub(crate) async fn eventually_within(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let checks = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(patience, checks).await.is_ok(),
        "waited for {what}"
    );
}

/// Something for a handler to wait at.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// What a status is told.
type State = Result<(), String>;

/// A status that can be waited for. It keeps all that it was told: a state may have passed before a test looks.
#[derive(Clone)]
pub(crate) struct Watched(Arc<watch::Sender<Vec<State>>>);

impl Watched {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn status(&self) -> Status {
        let sender = Arc::clone(&self.0);
        Status::new(Arc::new(move |state| {
            sender.send_modify(|told| told.push(state));
        }))
    }

    /// What it was told last.
    pub(crate) fn told(&self) -> Option<State> {
        self.0.borrow().last().cloned()
    }

    pub(crate) async fn up(&self) {
        self.wait("up", |told| matches!(told.last(), Some(Ok(()))))
            .await;
    }

    /// Waits until it is down.
    pub(crate) async fn down(&self) {
        self.wait("down", |told| matches!(told.last(), Some(Err(_))))
            .await;
    }

    /// Waits until it was told of this reason to be down.
    pub(crate) async fn tells(&self, reason: &str) {
        self.wait(reason, |told| {
            let mut reasons = told.iter().filter_map(|state| state.as_ref().err());
            reasons.any(|why| why.contains(reason))
        })
        .await;
    }

    /// Waits until a group has forgotten a client, and another one has taken its place.
    pub(crate) async fn replaced(&self) {
        const FORGOTTEN: &str = "does not take the consumer back";
        self.tells(FORGOTTEN).await;
        self.up().await;
    }

    async fn wait(&self, what: &str, condition: impl FnMut(&Vec<State>) -> bool) {
        let mut told = self.0.subscribe();
        let came = tokio::time::timeout(PATIENCE, told.wait_for(condition))
            .await
            .is_ok();
        assert!(came, "waited for {what}; told: {:?}", self.0.borrow());
    }
}

/// A consumer that runs in the background.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), MessagingError>>,
}

impl Running {
    pub(crate) fn spawn<R>(run: impl FnOnce(CancellationToken) -> R) -> Self
    where
        R: Future<Output = Result<(), MessagingError>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        Self {
            task: tokio::spawn(run(shutdown.clone())),
            shutdown,
        }
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the consumer stops")
            .unwrap()
            .unwrap();
    }

    /// Ends it as a crash does: nothing is finished and nobody is told.
    pub(crate) async fn die(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An error to fail with.
pub(crate) fn transient(text: &str) -> HandlerError {
    HandlerError::transient(text.to_owned())
}

/// An error to be parked with.
pub(crate) fn permanent(text: &str) -> HandlerError {
    HandlerError::permanent(text.to_owned())
}
