//! For tests: a crowd of calls, and how many of it are inside.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::task::JoinSet;
use tower::{Service, ServiceExt, service_fn};

/// How many are inside. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Inside(Arc<AtomicUsize>);

/// One of them, for as long as it exists.
pub(crate) struct Insider(Inside);

impl Inside {
    /// One more, which must not be more than `limit`.
    pub(crate) fn enter(&self, limit: usize) -> Insider {
        let now = self.0.fetch_add(1, SeqCst) + 1;
        assert!(now <= limit, "{now} inside");
        Insider(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Insider {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

/// A service that never answers.
pub(crate) fn hangs(
    inside: &Inside,
    limit: usize,
) -> impl Service<(), Response = (), Error = Infallible, Future: Send> + Clone + Send + use<> {
    let inside = inside.clone();
    service_fn(move |()| {
        let insider = inside.enter(limit);
        async move {
            let _insider = insider;
            pending().await
        }
    })
}

/// A service that gives all others their turn before it answers.
pub(crate) fn yields(
    limit: usize,
) -> impl Service<(), Response = (), Error = Infallible, Future: Send> + Clone + Send {
    let inside = Inside::default();
    service_fn(move |()| {
        let insider = inside.enter(limit);
        async move {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            drop(insider);
            Ok(())
        }
    })
}

/// 10,000 calls, for threads to race; every third one is cancelled wherever it is, and all others are answered.
pub(crate) async fn race<S>(service: S)
where
    S: Service<(), Response = (), Error: Debug + Send, Future: Send> + Clone + Send + 'static,
{
    let mut calls = JoinSet::new();
    for call in 0..10_000 {
        let task = calls.spawn(service.clone().oneshot(()));
        if call % 3 == 0 {
            task.abort();
        }
    }
    while let Some(call) = calls.join_next().await {
        match call {
            Ok(answer) => answer.unwrap(),
            Err(aborted) => assert!(aborted.is_cancelled(), "{aborted}"),
        }
    }
}
