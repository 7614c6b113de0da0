//! One small layer from nothing: a fuse that blows after some failures in a row. `docs/patterns/from-scratch.md` walks
//! through it.
//!
//! ```sh
//! cargo run -p resilience --example from_scratch
//! ```
#![allow(clippy::print_stdout, reason = "the time line")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

// region: error
#[derive(Debug)]
enum FuseError<E> {
    /// The call itself failed.
    Inner(E),
    /// The call was not made.
    Blown,
}

impl<E: fmt::Display> fmt::Display for FuseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Blown => f.write_str("the fuse is blown"),
        }
    }
}
// endregion: error

// region: state
/// Blows after so many failures in a row, for so long.
struct Fuse {
    most: u32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    blown_until: Option<Instant>,
}

impl Fuse {
    fn is_blown(&self) -> bool {
        let state = self.state.lock();
        state
            .blown_until
            .is_some_and(|until| Instant::now() < until)
    }

    fn record(&self, is_ok: bool) {
        let mut state = self.state.lock();
        state.failures = if is_ok { 0 } else { state.failures + 1 };
        let is_blown = state.failures >= self.most;
        state.blown_until = is_blown.then(|| Instant::now() + self.rest);
    }
}
// endregion: state

// region: layer
#[derive(Clone)]
struct FuseLayer {
    fuse: Arc<Fuse>,
}

impl<S> Layer<S> for FuseLayer {
    type Service = Fused<S>;

    fn layer(&self, inner: S) -> Fused<S> {
        let fuse = Arc::clone(&self.fuse);
        Fused { inner, fuse }
    }
}
// endregion: layer

// region: service
#[derive(Clone)]
struct Fused<S> {
    inner: S,
    fuse: Arc<Fuse>,
}

impl<S: Service<R>, R> Service<R> for Fused<S> {
    type Response = S::Response;
    type Error = FuseError<S::Error>;
    type Future = FusedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(FuseError::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let is_blown = self.fuse.is_blown();
        FusedFuture {
            call: (!is_blown).then(|| self.inner.call(request)),
            fuse: Arc::clone(&self.fuse),
        }
    }
}
// endregion: service

// region: future
pin_project! {
    struct FusedFuture<F> {
        #[pin]
        call: Option<F>,
        fuse: Arc<Fuse>,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for FusedFuture<F> {
    type Output = Result<T, FuseError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err(FuseError::Blown));
        };
        let answer = ready!(call.poll(cx));
        this.fuse.record(answer.is_ok());
        Poll::Ready(answer.map_err(FuseError::Inner))
    }
}
// endregion: future

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let began = Instant::now();
    // region: use
    let layer = FuseLayer {
        fuse: Arc::new(Fuse {
            most: 3,
            rest: Duration::from_secs(2),
            state: Mutex::default(),
        }),
    };
    // Out of order between second 2 and 5.
    let orders = layer.layer(service_fn(|()| async move {
        match began.elapsed().as_secs() {
            2..5 => Err("connection refused"),
            _ => Ok("an answer"),
        }
    }));
    // endregion: use
    for _ in 0..20 {
        let line = match orders.clone().oneshot(()).await {
            Ok(answer) => answer.to_owned(),
            Err(error) => error.to_string(),
        };
        println!("{:>4} ms  {line}", began.elapsed().as_millis());
        sleep(Duration::from_millis(400)).await;
    }
}
