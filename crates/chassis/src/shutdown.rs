//! The one signal that everything in a process listens to when it is time to stop.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Signals;

/// Tells every part of a service to stop: stop taking work, finish what was taken.
///
/// Clones share one state. It is an argument of every `run()`, so that tests and `agora` can stop a
/// service without a signal.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    // How many doors are open or draining: the admin port stays until they are done.
    draining: Arc<watch::Sender<usize>>,
}

impl Shutdown {
    /// Begins on one of [`Signals`].
    ///
    /// A second signal ends the process at once, with exit code 130: somebody is waiting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_signals() -> Self {
        let shutdown = Self::manual();
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            // Without a handler the signals' default action stays, which ends the process.
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

    /// Begins only when [`trigger`](Self::trigger) is called.
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

    /// The same signal as the token that crates without a chassis understand.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until it begins.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Says that a door has requests to finish, until the guard is dropped; [`drained`](Self::drained)
    /// waits for it.
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

/// See [`Shutdown::open_door`].
pub(crate) struct DrainGuard(Arc<watch::Sender<usize>>);

impl Drop for DrainGuard {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
