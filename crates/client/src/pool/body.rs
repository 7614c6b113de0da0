//! The body of an answer, which holds its call's place.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use resilience::bulkhead::Permit;
use tokio::time::{Sleep, sleep};

use crate::endpoint::Answer;

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

/// The body of an answer. Its call counts as under way until it has been read or dropped.
#[derive(Debug)]
pub struct PooledBody {
    body: Source,
    permit: Option<Permit>,
    idle_timeout: Duration,
    /// Set only while nothing is there: most bodies arrive with their head and never need a timer.
    idle: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Source {
    Stream(Incoming),
    Whole(Option<Bytes>),
}

impl PooledBody {
    pub(super) fn new(body: Answer, permit: Permit, idle_timeout: Duration) -> Self {
        let body = match body {
            Answer::Stream(body) => Source::Stream(body),
            Answer::Whole(bytes) => Source::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
        };
        let mut this = Self {
            body,
            permit: Some(permit),
            idle_timeout,
            idle: None,
        };
        // A body that is over at once (204, HEAD) is often not polled at all.
        this.give_back_if_over();
        this
    }

    /// All of it, if it was read already.
    pub(crate) fn into_whole(self) -> Option<Bytes> {
        match self.body {
            Source::Stream(_) => None,
            Source::Whole(bytes) => Some(bytes.unwrap_or_default()),
        }
    }

    fn give_back_if_over(&mut self) {
        if self.is_end_stream() {
            self.permit = None;
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
        let body = match &mut this.body {
            Source::Stream(body) => body,
            Source::Whole(bytes) => {
                let frame = bytes.take().map(|bytes| Ok(Frame::data(bytes)));
                this.permit = None;
                return Poll::Ready(frame);
            }
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.idle = None;
            if !matches!(frame, Some(Ok(_))) {
                this.permit = None;
            }
            this.give_back_if_over();
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        let idle_timeout = this.idle_timeout;
        ready!(
            this.idle
                .get_or_insert_with(|| Box::pin(sleep(idle_timeout)))
                .as_mut()
                .poll(cx)
        );
        this.permit = None;
        Poll::Ready(Some(Err(BodyError::Idle(idle_timeout))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Stream(body) => body.is_end_stream(),
            Source::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Stream(body) => body.size_hint(),
            Source::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
