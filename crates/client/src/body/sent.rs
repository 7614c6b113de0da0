//! A streamed request body that records how far it has been sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::Instant;

use super::BoxError;

/// A body that its source still produces while it is sent. It records whether the sending waits for the source or for
/// the peer, so that a timeout can be blamed on the right one.
#[derive(Debug)]
pub struct Sent {
    body: UnsyncBoxBody<Bytes, BoxError>,
    sending: Arc<Sending>,
}

/// How far a body has been sent.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// True after a poll that found no data: the source has nothing to send yet.
    waits: AtomicBool,
    /// When the body ended or the connection dropped it.
    done: OnceLock<Instant>,
}

/// Which side a request is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The source of the body, to produce more data.
    Senders,
    /// The peer, to read what was sent.
    Peers,
    /// The peer, to answer; the whole body was sent at this time.
    Done(Instant),
}

impl Sending {
    pub(crate) fn turn(&self) -> Turn {
        match self.done.get() {
            Some(at) => Turn::Done(*at),
            None if self.waits.load(Ordering::Relaxed) => Turn::Senders,
            None => Turn::Peers,
        }
    }

    fn finish(&self) {
        self.done.get_or_init(Instant::now);
    }
}

impl Sent {
    pub(super) fn new(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self {
            body,
            sending: Arc::default(),
        }
    }

    pub(super) fn sending(&self) -> Arc<Sending> {
        Arc::clone(&self.sending)
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.sending
            .waits
            .store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.sending.finish();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The drop also marks the end, since hyper drops a body of known length once its last byte is written, without polling
/// for the end.
impl Drop for Sent {
    fn drop(&mut self) {
        self.sending.finish();
    }
}
