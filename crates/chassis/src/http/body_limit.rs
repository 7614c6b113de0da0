//! A limit on request bodies whose 413 reaches the client.
//!
//! If a server answers 413 and closes the connection while the client is still sending, the kernel replies with a
//! reset, and the client's system then discards the unread 413. So the rest of a refused body is read and dropped, up
//! to a limit, while the answer is sent. The same applies to every answer that is given before the body was read (e.g.
//! a 401).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;

/// The most bytes of a refused body that are read and dropped.
pub const DRAIN_MAX_BYTES: u64 = 8 * 1024 * 1024;
/// The longest time for which a refused body is read and dropped.
pub const DRAIN_MAX_TIME: Duration = Duration::from_secs(5);

/// The body is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is larger than {limit} bytes")]
pub struct LimitExceeded {
    /// The limit in bytes.
    pub limit: usize,
}

/// Returns the limit if this error of reading a body (or any of its causes) says that it was exceeded. A proxy calls
/// this for the error of its client, too.
pub fn exceeded(error: &(dyn std::error::Error + 'static)) -> Option<usize> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(exceeded) = error.downcast_ref::<LimitExceeded>() {
            return Some(exceeded.limit);
        }
        next = error.source();
    }
    None
}

/// Wraps the body of a request in the limit. Returns no request if its `Content-Length` already exceeds the limit, so
/// that the body need not be read.
pub(super) fn limit(request: Request<Body>, limit: usize) -> (Option<Request<Body>>, Watch) {
    let expects_continue = expects_continue(request.headers());
    let shared = Arc::new(Shared::default());
    let watch = Watch {
        shared: Arc::clone(&shared),
        expects_continue,
        limit,
    };
    if request.body().is_end_stream() {
        // Most requests have no body, so that there is nothing to limit.
        return (Some(request), watch);
    }
    let (parts, body) = request.into_parts();
    let announced = body.size_hint().lower();
    let limited = Limited {
        inner: Some(body),
        left: limit as u64,
        limit,
        touched: false,
        shared,
    };
    if announced > limit as u64 {
        watch.shared.exceeded.store(true, Ordering::Relaxed);
        return (None, watch);
    }
    (Some(Request::from_parts(parts, Body::new(limited))), watch)
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[derive(Default)]
struct Shared {
    exceeded: AtomicBool,
    // The part of the body that the handler did not read.
    rest: Mutex<Option<Rest>>,
}

struct Rest {
    body: Body,
    touched: bool,
}

/// What happened to a request's body.
pub(super) struct Watch {
    shared: Arc<Shared>,
    expects_continue: bool,
    limit: usize,
}

impl Watch {
    /// The limit, if it was exceeded.
    pub(super) fn exceeded(&self) -> Option<usize> {
        self.shared
            .exceeded
            .load(Ordering::Relaxed)
            .then_some(self.limit)
    }

    /// Reads the rest of the body in the background, if the handler dropped it unfinished.
    pub(super) fn drain(self) {
        let rest = self.shared.rest.lock().take();
        let Some(Rest { body, touched }) = rest else {
            return;
        };
        // Reading would ask the client for a body that it has not begun to send.
        if self.expects_continue && !touched {
            return;
        }
        tokio::spawn(tokio::time::timeout(DRAIN_MAX_TIME, drain(body)));
    }
}

async fn drain(mut body: Body) {
    let mut left = DRAIN_MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = left.checked_sub(size) else {
            return;
        };
        left = rest;
    }
}

/// The body that handlers read.
struct Limited {
    // `None` once it has ended or failed.
    inner: Option<Body>,
    left: u64,
    limit: usize,
    touched: bool,
    shared: Arc<Shared>,
}

impl Limited {
    fn exceed(&mut self) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.shared.exceeded.store(true, Ordering::Relaxed);
        self.hand_over();
        Poll::Ready(Some(Err(axum::Error::new(LimitExceeded {
            limit: self.limit,
        }))))
    }

    fn hand_over(&mut self) {
        if let Some(body) = self.inner.take().filter(|body| !body.is_end_stream()) {
            let rest = Rest {
                body,
                touched: self.touched,
            };
            *self.shared.rest.lock() = Some(rest);
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let left = self.left;
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(cx);
        self.touched = true;
        match std::task::ready!(polled) {
            Some(Ok(frame)) => {
                match left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => self.exceed(),
                }
            }
            ended => {
                self.inner = None;
                Poll::Ready(ended)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.hand_over();
    }
}
