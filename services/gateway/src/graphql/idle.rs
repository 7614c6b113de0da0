//! When nothing in a request can go on any more: the moment at which all fields of a level have asked.
//!
//! A timer guesses that moment, and is early on a machine that is busy; letting other tasks go first guesses, too, since the
//! futures of fields hand the thread back before all of them had their turn. This wraps the whole execution and sees both:
//! that it waits, and that nothing has woken it meanwhile.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// Who waits for an execution to have nothing else to do. Made for one request.
#[derive(Default)]
pub(super) struct Idle {
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Idle {
    /// Returns when the execution can go on no further.
    pub(super) async fn wait(&self) {
        let (released, wait) = oneshot::channel();
        self.waiting.lock().push(released);
        // It is not dropped before the execution is.
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

/// Passes wake-ups on and remembers that there was one.
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
        // Whatever woke it meanwhile has woken us, too: there is more to do first.
        if polled.is_pending() && !self.wakes.any.load(Ordering::Acquire) {
            for released in mem::take(&mut *self.idle.waiting.lock()) {
                // Who waits no more was cancelled.
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

    /// Lets the others have their turn, as sets of futures do.
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
