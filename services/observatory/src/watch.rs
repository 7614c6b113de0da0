//! The state of the system, polled once a second while a client reads it.

mod bounds;
mod depends;
mod edges;
mod metrics;
mod said;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::{Fatal, Shutdown};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::replicas::Replicas;
use crate::sky::{self, Sky};
use crate::switches::Switches;
use state::Seen;

/// The polling interval.
const EVERY: Duration = Duration::from_secs(1);
/// How long polling goes on after the last request for the state, in microseconds.
const WANTED_US: u64 = 10_000_000;

/// Polls the system. Clones share one state.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Inner>);

struct Inner {
    replicas: Arc<Replicas>,
    switches: Arc<Switches>,
    sky: Arc<Sky>,
    /// The time of the last request for the state.
    asked_at: AtomicU64,
    asked: Notify,
    state: watch::Sender<Option<Arc<str>>>,
}

impl Watch {
    pub(crate) fn new(replicas: Arc<Replicas>, switches: Arc<Switches>, sky: Arc<Sky>) -> Self {
        Self(Arc::new(Inner {
            replicas,
            switches,
            sky,
            asked_at: AtomicU64::new(0),
            asked: Notify::new(),
            state: watch::Sender::new(None),
        }))
    }

    /// The state, no older than about a second.
    pub(crate) async fn state(&self) -> Arc<str> {
        let mut states = self.follow();
        let is_fresh = |state: &Option<Arc<str>>| state.is_some();
        match states.wait_for(is_fresh).await {
            Ok(state) => state.clone().unwrap_or_else(|| "{}".into()),
            Err(_) => "{}".into(),
        }
    }

    /// A subscription to new states. A reader has to call [`wanted`](Self::wanted) repeatedly.
    pub(crate) fn follow(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.wanted();
        self.0.state.subscribe()
    }

    /// Notes that the state is still being read.
    pub(crate) fn wanted(&self) {
        self.0.asked_at.store(sky::now(), Ordering::Relaxed);
        self.0.asked.notify_one();
    }

    /// Polls once a second while the state is being read, and not at all otherwise.
    pub(crate) async fn keep(self, shutdown: Shutdown) -> Result<(), Fatal> {
        let look = async {
            // The previous state, for rates and for names that are missing this time.
            let mut before = Seen::default();
            loop {
                let asked_at = self.0.asked_at.load(Ordering::Relaxed);
                if sky::now().saturating_sub(asked_at) > WANTED_US {
                    // The state is stale: the next reader waits for a new one.
                    self.0.state.send_replace(None);
                    self.0.asked.notified().await;
                }
                let state = self.look(&mut before).await.to_string();
                self.0.state.send_replace(Some(state.into()));
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            never = look => never,
        }
    }

    async fn look(&self, before: &mut Seen) -> Value {
        let (mut seen, switches) =
            tokio::join!(state::look(&self.0.replicas), self.0.switches.look());
        seen.recall(before);
        let mut state = seen.show(sky::now(), before, &self.0.sky);
        state["switches"] = switches;
        *before = seen;
        state
    }
}
