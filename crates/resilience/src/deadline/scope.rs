//! The deadline of the running code.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Deadline;

tokio::task_local! {
    static CURRENT: Deadline;
}

impl Deadline {
    /// The deadline of the call in which this code runs, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|deadline| *deadline).ok()
    }

    /// Runs `future` under this deadline: inside of it [`Deadline::current`] is the earlier of this one and the outer
    /// one. It does not stop anything at the deadline; [`DeadlineLayer`](super::DeadlineLayer) does that.
    pub fn scope<F>(self, future: F) -> Scope<F> {
        Scope {
            future,
            deadline: self,
        }
    }

    /// Runs `work` under this deadline, like [`Deadline::scope`] does with a future.
    pub fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        let inner = Self::current().map_or(self, |outer| self.earlier(outer));
        CURRENT.sync_scope(inner, work)
    }
}

pin_project! {
    /// A future under a deadline, made by [`Deadline::scope`].
    ///
    /// The outer deadline is looked up at each poll, since the futures of nested scopes are created from the inside
    /// out: when the inner one is created there is no outer one yet.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scope<F> {
        #[pin]
        future: F,
        deadline: Deadline,
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.deadline.sync_scope(|| this.future.poll(cx))
    }
}
