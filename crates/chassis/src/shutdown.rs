//! The signal that tells all parts of a process to stop.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Signals;

/// Tells every part of a service to stop: accept no more work and finish what was accepted.
///
/// Clones share one state. It is an argument of every `run()`, so that tests and `agora` can stop a service without an
/// operating system signal.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    // The number of doors that are open or draining: the admin port stays open until they are done.
    draining: Arc<watch::Sender<usize>>,
}

impl Shutdown {
    /// Triggered by one of [`Signals`].
    ///
    /// A second signal ends the process at once, with exit code 130, since an operator is waiting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_signals() -> Self {
        let shutdown = Self::manual();
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            // Without a handler the signals keep their default action, which ends the process.
            let Ok(mut signals) = Signals::listen() else {
                return;
            };
            let signal = signals.next().await;
            tracing::info!(
                signal,
                "stopping: what was begun is finished first; a second signal ends the process at once"
            );
            trigger.trigger();
            signals.next().await;
            std::process::exit(130);
        });
        shutdown
    }

    /// Triggered only when [`trigger`](Self::trigger) is called.
    pub fn manual() -> Self {
        Self {
            token: CancellationToken::new(),
            draining: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Begins the shutdown; calling it again does nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Whether it has begun.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The same signal as a token, for crates that do not depend on this one.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until the shutdown begins.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Registers a door that has requests to finish, until the guard is dropped; [`drained`](Self::drained) waits for
    /// it.
    pub(crate) fn drain_guard(&self) -> DrainGuard {
        self.draining.send_modify(|open| *open += 1);
        DrainGuard(Arc::clone(&self.draining))
    }

    /// Waits until the shutdown has begun and every door has finished.
    pub(crate) async fn drained(&self) {
        self.cancelled().await;
        // The sender lives in `self`, so waiting cannot fail.
        self.draining
            .subscribe()
            .wait_for(|open| *open == 0)
            .await
            .ok();
    }
}

/// See [`Shutdown::drain_guard`].
pub(crate) struct DrainGuard(Arc<watch::Sender<usize>>);

impl Drop for DrainGuard {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
