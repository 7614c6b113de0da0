//! Detects when an execution cannot make progress: the moment at which all fields of a level have requested their data.
//!
//! A timer only guesses that moment, and is too early on a busy machine. Yielding to other tasks guesses as well, since the
//! futures of fields return `Pending` before all of them were polled. This module wraps the whole execution and sees both that
//! it is pending and that nothing has woken it in the meantime.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// The waiters for an execution to be idle. Created for one request.
#[derive(Default)]
pub(super) struct Idle {
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Idle {
    /// Returns when the execution is idle: pending, and not woken.
    pub(super) async fn wait(&self) {
        let (released, wait) = oneshot::channel();
        self.waiting.lock().push(released);
        // The sender is not dropped before the execution.
        let _ = wait.await;
    }

    /// The execution whose idleness is waited for.
    pub(super) fn around<F: Future>(self: Arc<Self>, execution: F) -> Watched<F> {
        Watched {
            execution: Box::pin(execution),
            idle: self,
            wakes: Arc::default(),
        }
    }
}

/// An execution under watch.
pub(super) struct Watched<F> {
    execution: Pin<Box<F>>,
    idle: Arc<Idle>,
    wakes: Arc<Wakes>,
}

/// Forwards wake-ups and records that there was one.
#[derive(Default)]
struct Wakes {
    any: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.any.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    // region: poll
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.wakes.task.register(context.waker());
        self.wakes.any.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self.wakes));
        let polled = self
            .execution
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        // If something woke it meanwhile, this task was woken, too, and is polled again first.
        if polled.is_pending() && !self.wakes.any.load(Ordering::Acquire) {
            for released in mem::take(&mut *self.idle.waiting.lock()) {
                // The waiter is gone if its call was cancelled.
                let _ = released.send(());
            }
        }
        polled
    }
    // endregion: poll
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields once, as `FuturesUnordered` does after a number of polls.
    async fn turn() {
        let mut had = false;
        std::future::poll_fn(|context| {
            if mem::replace(&mut had, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn who_waits_is_released_when_all_others_wait_too() {
        let idle = Arc::<Idle>::default();
        let steps = Mutex::new(Vec::new());
        let step = |name: &'static str| steps.lock().push(name);
        let execution = async {
            let first = async {
                idle.wait().await;
                step("idle");
            };
            let busy = async {
                for _ in 0..10 {
                    turn().await;
                    step("busy");
                }
                idle.wait().await;
                step("idle again");
            };
            futures::join!(first, busy);
        };
        Arc::clone(&idle).around(execution).await;
        let expected = [&["busy"; 10][..], &["idle", "idle again"]].concat();
        assert_eq!(*steps.lock(), expected);
    }
}
