//! The body of an answer, which holds its call's place in the bulkhead.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use resilience::bulkhead::Permit;
use tokio::time::{Sleep, sleep};

use crate::endpoint::{Answer, MAX_RESPONSE_BYTES};

/// The longest body that is read at once, in bytes: as much as any answer that is read whole, and more than a page of a
/// list. A hundred entries of 50 lines each are 0.8 MB.
const SHORT_BYTES_MAX: u64 = MAX_RESPONSE_BYTES as u64;
/// The most bytes, over all peers, of bodies that were read ahead and wait for their readers. More than a server lets
/// wait for clients that do not read, so that these do not use it up. Beyond that, answers hold their calls' places until
/// they are read.
const READ_BYTES_MAX: usize = 96 * 1024 * 1024;
static READ_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A share of [`READ_BYTES_MAX`] for a body that was read ahead; released when the body is dropped.
#[derive(Debug)]
struct Room(usize);

impl Room {
    fn take(bytes: usize) -> Option<Self> {
        let room = Self(bytes);
        let before = READ_BYTES.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= READ_BYTES_MAX).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        READ_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Why an answer's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the connection broke inside the body")]
    Broken(#[source] hyper::Error),
    /// No data arrived for this long.
    #[error("the body paused for more than {0:?}")]
    Idle(Duration),
}

/// The body of an answer. The call counts as under way until the body has been read or dropped.
#[derive(Debug)]
pub struct PooledBody {
    body: Source,
    permit: Option<Permit>,
    idle_timeout: Duration,
    /// Set only while no data is ready: most bodies arrive with their head and never need a timer.
    idle: Option<Pin<Box<Sleep>>>,
    /// Set once a short body was read ahead.
    room: Option<Room>,
}

#[derive(Debug)]
enum Source {
    Stream(Incoming),
    Whole(Option<Bytes>),
    /// The bytes that were read before the error, and the error.
    Broken(Option<Bytes>, Option<BodyError>),
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
            room: None,
        };
        // The body of an answer without content (204, HEAD) is often never polled.
        this.give_back_if_over();
        this
    }

    /// Reads a short body to its end, so that the call is over however slowly the caller reads it.
    pub(super) async fn settled(mut self) -> Self {
        let Source::Stream(body) = &self.body else {
            return self;
        };
        let length = body
            .size_hint()
            .exact()
            .filter(|length| (1..=SHORT_BYTES_MAX).contains(length));
        let length = length.and_then(|length| usize::try_from(length).ok());
        let Some((length, room)) = length.and_then(|length| Some((length, Room::take(length)?)))
        else {
            return self;
        };
        let mut read = Bytes::new();
        let mut joined = BytesMut::new();
        let broken = loop {
            match std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if read.is_empty() && joined.is_empty() {
                        // Most bodies arrive in one piece, which need not be copied.
                        read = data;
                        continue;
                    }
                    if joined.is_empty() {
                        joined.reserve(length);
                        joined.extend_from_slice(&std::mem::take(&mut read));
                    }
                    joined.extend_from_slice(&data);
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        let bytes = if joined.is_empty() {
            read
        } else {
            joined.freeze()
        };
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        self.body = match broken {
            None => Source::Whole(bytes),
            Some(error) => Source::Broken(bytes, Some(error)),
        };
        self.room = Some(room);
        self.permit = None;
        self
    }

    /// Releases the call's place although the answer goes on: for one that goes on for hours, such as server-sent events,
    /// and whose number is bounded elsewhere.
    pub fn leave_count(&mut self) {
        self.permit = None;
    }

    /// The complete body if it was already read, otherwise `None`.
    pub(crate) fn into_whole(self) -> Option<Bytes> {
        match self.body {
            Source::Stream(_) | Source::Broken(..) => None,
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
            Source::Broken(bytes, error) => {
                let frame = bytes.take().map(|bytes| Ok(Frame::data(bytes)));
                return Poll::Ready(frame.or_else(|| error.take().map(Err)));
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
            Source::Broken(bytes, error) => bytes.is_none() && error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Stream(body) => body.size_hint(),
            Source::Broken(..) => SizeHint::default(),
            Source::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}
