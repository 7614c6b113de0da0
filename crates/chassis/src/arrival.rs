//! The arrival of a request's body: no work begins, and no place among the requests in progress is taken, before the
//! whole body has arrived. A sender that announces a body and does not send it delays only its own request.

mod conversation;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, sleep_until};

use crate::proxies::Origin;
use crate::stalls::{Seat, Stalled, Stalls};
use conversation::{Conversation, Replayed};

/// The longest pause of a sender within a body.
pub const IDLE: Duration = Duration::from_secs(10);
/// The lowest rate at which a body may arrive, in bytes a second, once the first [`IDLE`] has passed; even a phone with
/// a poor connection is faster.
pub const RATE_MIN: u64 = 2 * 1024;
/// The most bytes of incomplete bodies that are buffered, over all doors that share their limits.
pub const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest body that is buffered whole, in bytes; a longer one is processed while it arrives, as a conversation.
pub const WHOLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A body without an announced length that pauses for this long becomes a conversation: its sender may be waiting for a
/// response before it continues.
const PAUSE: Duration = Duration::from_millis(500);
/// The most conversations at a time. They take no place among the requests in progress; one more ends the one that has
/// been silent longest.
const CONVERSATIONS_MAX: usize = 32;

type Frames = VecDeque<Result<Frame<Bytes>, axum::Error>>;

/// The bodies that are arriving. Clones share one state; the doors of one process share one instance.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Bytes of incomplete bodies.
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
    /// Waits for the body. A body that is already there costs nothing.
    pub(crate) async fn arrive(
        &self,
        body: Body,
        sender: &Sender,
        kind: Kind,
    ) -> Result<Arrived, Absent> {
        let can_converse = kind == Kind::Open && body.size_hint().exact().is_none();
        let mut coming = Coming {
            arrivals: self,
            sender,
            body,
            data: Bytes::new(),
            joined: BytesMut::new(),
            tail: None,
            begun: Instant::now(),
            seat: None,
        };
        loop {
            if coming.body.is_end_stream() {
                return Ok(Arrived::Whole(coming.whole()));
            }
            let frame = match coming.now().await {
                Poll::Ready(frame) => frame,
                Poll::Pending => match coming.later(can_converse).await? {
                    Next::Frame(frame) => frame,
                    Next::Pause => return coming.converse(),
                },
            };
            match frame {
                None => return Ok(Arrived::Whole(coming.whole())),
                Some(frame) => {
                    let broken = frame.is_err();
                    coming.push(frame);
                    if broken {
                        let read = Arc::<AtomicBool>::default();
                        let body = Replayed::new(coming.take(), Arc::clone(&read));
                        return Ok(Arrived::Broken(Body::new(body), read));
                    }
                    if coming.length() > WHOLE_BYTES_MAX {
                        return coming.converse();
                    }
                }
            }
        }
    }

    /// Bytes of incomplete bodies.
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
                .end_longest(Duration::ZERO)
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
        self.arrivals.hold(&seat, self.length())?;
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

    fn whole(&mut self) -> Body {
        match self.tail {
            None => Body::from(self.data()),
            Some(_) => Body::new(Replayed::new(self.take(), Arc::default())),
        }
    }

    fn converse(mut self) -> Result<Arrived, Absent> {
        let body = std::mem::take(&mut self.body);
        let frames = self.take();
        let conversation = Conversation::begin(self.arrivals, self.sender.clone(), frames, body)?;
        let seat = conversation.seat();
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
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn body(pieces: Vec<&'static str>) -> Body {
        let frames = pieces.into_iter().map(|piece| {
            let data = Frame::data(Bytes::from_static(piece.as_bytes()));
            Ok::<_, axum::Error>(data)
        });
        let trailers = Frame::trailers(axum::http::HeaderMap::new());
        let frames: Vec<_> = frames.chain([Ok(trailers)]).collect();
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_one_with_its_trailers() {
        let arrivals = Arrivals::default();
        for pieces in [
            vec![],
            vec![""],
            vec!["one"],
            vec!["", "o", "", "n", "e", ""],
        ] {
            let whole: String = pieces.concat();
            let sender = Sender::default();
            let arrived = arrivals.arrive(body(pieces), &sender, Kind::Message).await;
            let Ok(Arrived::Whole(mut body)) = arrived else {
                panic!("it was there");
            };
            if !whole.is_empty() {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(data, whole, "in one");
            }
            assert!(body.frame().await.unwrap().unwrap().is_trailers());
            assert!(body.frame().await.is_none());
        }
    }
}
