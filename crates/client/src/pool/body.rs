//! The body of an answer, which holds its connection's slot.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// Why an answer's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the connection broke inside the body")]
    Broken(#[source] hyper::Error),
    /// Nothing came for this long.
    #[error("the body paused for more than {0:?}")]
    Idle(Duration),
}

/// The body of an answer. Its connection counts as in use until it has been read or dropped.
#[derive(Debug)]
pub struct PooledBody {
    body: Incoming,
    slot: Option<OwnedSemaphorePermit>,
    idle_timeout: Duration,
    /// Set only while nothing is there: most bodies arrive with their head and never need a timer.
    idle: Option<Pin<Box<Sleep>>>,
}

impl PooledBody {
    pub(super) fn new(body: Incoming, slot: OwnedSemaphorePermit, idle_timeout: Duration) -> Self {
        // A body that is over at once (204, HEAD) is often not polled at all.
        let slot = (!body.is_end_stream()).then_some(slot);
        Self {
            body,
            slot,
            idle_timeout,
            idle: None,
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.idle = None;
            if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
                this.slot = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        let idle_timeout = this.idle_timeout;
        ready!(
            this.idle
                .get_or_insert_with(|| Box::pin(sleep(idle_timeout)))
                .as_mut()
                .poll(cx)
        );
        this.slot = None;
        Poll::Ready(Some(Err(BodyError::Idle(idle_timeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
