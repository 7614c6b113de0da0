//! Bodies that are processed while they arrive.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::Frame;
use tokio::time::{Sleep, sleep};

use super::{Absent, Arrivals, CONVERSATIONS_MAX, Frames, IDLE, Sender};
use crate::stalls::{Seat, Stalled};

/// The sender of a body that was being processed has paused for too long.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the rest of the body did not come in time")]
struct SenderStalled;

/// The frames that had already arrived, including an error or trailers.
pub(super) struct Replayed {
    frames: Frames,
    /// Whether the error was read.
    read: Arc<AtomicBool>,
}

impl Replayed {
    pub(super) fn new(frames: Frames, read: Arc<AtomicBool>) -> Self {
        Self { frames, read }
    }
}

impl http_body::Body for Replayed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = self.frames.pop_front();
        if matches!(frame, Some(Err(_))) {
            self.read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }
}

/// A body whose sender continues while it is processed.
pub(super) struct Conversation {
    frames: Frames,
    rest: Body,
    sender: Sender,
    seat: Arc<Seat>,
    arrivals: Arrivals,
    /// Set while the sender is silent: its entries in the lists of stalled senders, and the timer that ends the wait.
    silence: Option<(Stalled, Option<Stalled>, Pin<Box<Sleep>>)>,
    over: bool,
}

impl Conversation {
    /// The seat, which has ended once the sender has been silent for too long.
    pub(super) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// Begins a conversation. If there are too many, it ends the one that has been silent longest.
    pub(super) fn begin(
        arrivals: &Arrivals,
        sender: Sender,
        frames: Frames,
        rest: Body,
    ) -> Result<Self, Absent> {
        let count = arrivals.0.conversations.fetch_add(1, Ordering::AcqRel);
        // Created before the check, so that the count is decremented by its drop on every path.
        let conversation = Self {
            frames,
            rest,
            sender,
            seat: Arc::default(),
            arrivals: arrivals.clone(),
            silence: None,
            over: false,
        };
        if count >= CONVERSATIONS_MAX && arrivals.0.silent.end_longest(Duration::ZERO).is_none() {
            return Err(Absent::Crowded);
        }
        Ok(conversation)
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (origin, seat) = (self.sender.origin, &self.seat);
        let (_, _, patience) = self.silence.get_or_insert_with(|| {
            let silent = self.arrivals.0.silent.join(origin, seat);
            (silent, self.sender.join(seat), Box::pin(sleep(IDLE)))
        });
        if seat.poll_ended(cx).is_ready() {
            return Poll::Ready(());
        }
        patience.as_mut().poll(cx)
    }
}

impl http_body::Body for Conversation {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(frame) = this.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if this.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.rest).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame);
        }
        std::task::ready!(this.poll_silence(cx));
        this.silence = None;
        this.over = true;
        this.seat.end();
        Poll::Ready(Some(Err(axum::Error::new(SenderStalled))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.frames.is_empty() && self.rest.is_end_stream()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.arrivals.0.conversations.fetch_sub(1, Ordering::AcqRel);
    }
}
