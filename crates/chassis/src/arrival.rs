//! The arrival of a request's body: no work begins, and no place among the requests in progress is taken, before the
//! whole body has arrived. A sender that announces a body and does not send it delays only its own request.
//!
//! A body that is whole still counts while its request waits for the work to begin ([`Held`]).

mod conversation;
mod held;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Extensions;
use bytes::BytesMut;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, sleep_until};

use crate::proxies::Origin;
use crate::stalls::{Seat, Stalled, Stalls};
use conversation::{Conversation, Replayed};

pub use held::{Held, SMALL_BYTES_MAX};

/// The longest pause of a sender within a body.
pub const IDLE: Duration = Duration::from_secs(10);
/// The lowest rate at which a body may arrive, in bytes a second, once the first [`IDLE`] has passed; even a phone with
/// a poor connection is faster.
pub const RATE_MIN: u64 = 2 * 1024;
/// The most bytes of bodies that are incomplete, or whose work has not begun, over all doors that share their limits.
pub const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest body that is buffered whole, in bytes; a longer one is processed while it arrives, as a conversation.
pub const WHOLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A body without an announced length that pauses for this long becomes a conversation: its sender may be waiting for a
/// response before it continues.
const PAUSE: Duration = Duration::from_millis(500);
/// The most conversations at a time. They take no place among the requests in progress; one more ends the one that has
/// been silent longest, or that has waited longest for its work to begin.
const CONVERSATIONS_MAX: usize = 32;

type Frames = VecDeque<Result<Frame<Bytes>, axum::Error>>;

/// The bodies that are arriving. Clones share one state; the doors of one process share one instance.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Bytes of bodies that are incomplete or whose work has not begun.
    bytes: AtomicUsize,
    waiting: Stalls,
    conversations: AtomicUsize,
    silent: Stalls,
}

/// The sender of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    pub(crate) origin: Option<Origin>,
    /// The server's own list of stalled senders, through which this one can also be told to make room.
    pub(crate) line: Option<Stalls>,
}

/// A body that is ready to be processed.
pub(crate) enum Arrived {
    /// The complete body.
    Whole(Body),
    /// The part that arrived before an error, and the error. The flag is set once a reader has read as far as the
    /// error.
    Broken(Body, Arc<AtomicBool>),
    /// The beginning; the rest arrives while the request is processed. The seat has ended once the sender has been
    /// silent for too long.
    Conversation(Body, Arc<Seat>),
}

/// Why there is no body to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The sender paused for too long, or was ended to make room for others.
    Stalled,
    /// Too many bodies are arriving, and none of them has paused.
    Crowded,
}

/// How the body of a request may be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request can be answered before its body is complete, if the sender waits for that.
    Open,
    /// The body is one message; no answer is possible before its end.
    Message,
}

impl Arrivals {
    /// Waits for the body. A small one that is already there costs nothing. Takes the [`Sender`] from the extensions of the
    /// request, and leaves there what its body holds ([`Held`]); not for a whole message, whose work begins at once.
    pub(crate) async fn arrive(
        &self,
        body: Body,
        extensions: &mut Extensions,
        kind: Kind,
    ) -> Result<Arrived, Absent> {
        let sender = extensions.remove::<Sender>().unwrap_or_default();
        let can_converse = kind == Kind::Open && body.size_hint().exact().is_none();
        let mut coming = Coming {
            arrivals: self,
            sender: &sender,
            body,
            data: Bytes::new(),
            joined: BytesMut::new(),
            tail: None,
            begun: Instant::now(),
            seat: None,
        };
        let broken = loop {
            if coming.body.is_end_stream() {
                break false;
            }
            let frame = match coming.now().await {
                Poll::Ready(frame) => frame,
                Poll::Pending => match coming.later(can_converse).await? {
                    Next::Frame(frame) => frame,
                    Next::Pause => return coming.converse(extensions),
                },
            };
            match frame {
                None => break false,
                Some(frame) => {
                    let broken = frame.is_err();
                    coming.push(frame);
                    if broken {
                        break true;
                    }
                    if coming.length() > WHOLE_BYTES_MAX {
                        return coming.converse(extensions);
                    }
                }
            }
        };
        if kind == Kind::Open
            && let Some(held) = coming.held()?
        {
            extensions.insert(held);
        }
        Ok(coming.arrived(broken))
    }

    /// Bytes of bodies that are incomplete or whose work has not begun.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts `bytes` for this seat, and ends stalled bodies to make room for them if the limit is exceeded.
    fn hold(&self, seat: &Seat, bytes: usize) -> Result<(), Absent> {
        let held = seat.hold(bytes);
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.0.bytes.fetch_sub(held, Ordering::AcqRel);
        while self.bytes() > WAITING_BYTES_MAX {
            // Its bytes count as free at once: the ended body is dropped as soon as it is polled.
            let longest = self
                .0
                .waiting
                .end_longest_of_heaviest()
                .ok_or(Absent::Crowded)?;
            self.0.bytes.fetch_sub(longest.hold(0), Ordering::AcqRel);
        }
        Ok(())
    }
}

enum Next {
    Frame(Option<Result<Frame<Bytes>, axum::Error>>),
    Pause,
}

/// A body that is arriving.
struct Coming<'a> {
    arrivals: &'a Arrivals,
    sender: &'a Sender,
    body: Body,
    /// The first piece. Most bodies have only one, which need not be copied.
    data: Bytes,
    /// All pieces joined, if there are several: a body in pieces of one byte must not cost a hundred bytes for each.
    joined: BytesMut,
    /// The trailers, or the error that ended the body.
    tail: Option<Result<Frame<Bytes>, axum::Error>>,
    begun: Instant,
    /// Created the first time that the body has to be waited for.
    seat: Option<Arc<Seat>>,
}

impl Coming<'_> {
    /// The next frame if it is there already. Polls twice: over HTTP/1.1 the first poll only makes hyper start to read.
    async fn now(&mut self) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut asked = false;
        poll_fn(|cx| match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending if !asked => {
                asked = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => Poll::Ready(polled),
        })
        .await
    }

    /// Waits for the next frame, within the limits.
    async fn later(&mut self, can_converse: bool) -> Result<Next, Absent> {
        let seat = Arc::clone(self.seat.get_or_insert_default());
        self.arrivals.hold(&seat, self.memory())?;
        let _in_line = self.arrivals.0.waiting.join(self.sender.origin, &seat);
        let _at_the_server = self.sender.join(&seat);
        let slowest = self.begun + IDLE + Duration::from_secs(self.length() as u64 / RATE_MIN);
        let patience = if can_converse { PAUSE } else { IDLE };
        let late = sleep_until(slowest.min(Instant::now() + patience));
        let body = &mut self.body;
        tokio::select! {
            biased;
            frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)) => Ok(Next::Frame(frame)),
            () = poll_fn(|cx| seat.poll_ended(cx)) => Err(Absent::Stalled),
            () = late => if can_converse { Ok(Next::Pause) } else { Err(Absent::Stalled) },
        }
    }

    fn length(&self) -> usize {
        self.data.len() + self.joined.len()
    }

    /// What it takes: pieces are joined in a buffer that may be twice as long as they are.
    fn memory(&self) -> usize {
        self.data.len() + self.joined.capacity()
    }

    /// Keeps the bytes counted until the work begins.
    fn held(&mut self) -> Result<Option<Held>, Absent> {
        let memory = self.memory();
        if memory <= SMALL_BYTES_MAX {
            return Ok(None);
        }
        let seat = self.seat.take().unwrap_or_default();
        Held::count(self.arrivals, self.sender.origin, seat, memory).map(Some)
    }

    fn push(&mut self, frame: Result<Frame<Bytes>, axum::Error>) {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if self.length() == 0 => self.data = data,
            Ok(Ok(data)) => {
                if self.joined.is_empty() {
                    self.joined
                        .extend_from_slice(&std::mem::take(&mut self.data));
                }
                self.joined.extend_from_slice(&data);
            }
            Ok(Err(trailers)) => self.tail = Some(Ok(trailers)),
            Err(error) => self.tail = Some(Err(error)),
        }
    }

    /// The data that has arrived, in one piece.
    fn data(&mut self) -> Bytes {
        if self.joined.is_empty() {
            std::mem::take(&mut self.data)
        } else {
            std::mem::take(&mut self.joined).freeze()
        }
    }

    /// The frames that have arrived.
    fn take(&mut self) -> Frames {
        let data = self.data();
        let data = (!data.is_empty()).then(|| Ok(Frame::data(data)));
        data.into_iter().chain(self.tail.take()).collect()
    }

    fn arrived(&mut self, broken: bool) -> Arrived {
        if !broken {
            return Arrived::Whole(self.whole());
        }
        let read = Arc::<AtomicBool>::default();
        let body = Replayed::new(self.take(), Arc::clone(&read));
        Arrived::Broken(Body::new(body), read)
    }

    fn whole(&mut self) -> Body {
        match self.tail {
            None => Body::from(self.data()),
            Some(_) => Body::new(Replayed::new(self.take(), Arc::default())),
        }
    }

    fn converse(mut self, extensions: &mut Extensions) -> Result<Arrived, Absent> {
        let body = std::mem::take(&mut self.body);
        let frames = self.take();
        let conversation = Conversation::begin(self.arrivals, self.sender.clone(), frames, body)?;
        let seat = conversation.seat();
        extensions.insert(Held::unread(self.arrivals, self.sender.origin));
        Ok(Arrived::Conversation(Body::new(conversation), seat))
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            self.arrivals
                .0
                .bytes
                .fetch_sub(seat.hold(0), Ordering::AcqRel);
        }
    }
}

impl Sender {
    fn join(&self, seat: &Arc<Seat>) -> Option<Stalled> {
        self.line.as_ref().map(|line| line.join(self.origin, seat))
    }
}

#[cfg(test)]
mod tests;
