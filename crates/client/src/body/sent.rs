//! A streamed body that tells how far it is sent.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::Instant;

use super::BoxError;

/// A body that comes from somebody else while it is sent. Who waits for an answer can tell whether it is the peer that is
/// waited for, or who writes the body.
#[derive(Debug)]
pub struct Sent {
    body: UnsyncBoxBody<Bytes, BoxError>,
    sending: Arc<Sending>,
}

/// How far a body is sent.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// It was asked for more and had nothing.
    waits: AtomicBool,
    /// It ended, or the connection wants no more of it.
    done: OnceLock<Instant>,
}

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Who writes the body.
    Senders,
    /// The peer, to read it.
    Peers,
    /// The peer, to answer; since then.
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

/// hyper drops a body of a known length when its last byte is written, without a look at its end.
impl Drop for Sent {
    fn drop(&mut self) {
        self.sending.finish();
    }
}
