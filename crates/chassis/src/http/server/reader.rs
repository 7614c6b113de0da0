//! Clients that do not read their answers. An answer that waits for its reader holds memory here and a call to the
//! service that it comes from, so the wait is limited.
//!
//! Over HTTP/1.1 the whole connection stops accepting bytes ([`Patient`]); over HTTP/2 only one stream does, whose
//! window is closed ([`Streams`]). hyper reports neither: the first is recognised by writes that stay pending, the
//! second by a body that hyper stops polling. How long they wait, and with how much, is bounded in one place ([`Unread`]).

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::crowd::{Connection, Crowd, Open};
use super::handed::hand_over;
use super::heads::Head;
use super::held::Held;
use super::unread::Unread;

/// The longest time that a reader may accept nothing while data is ready for it.
pub const READER_PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer that are passed to HTTP/2 at once: hyper's buffers cannot be taken back, and a reader
/// that accepts this much in [`READER_PATIENCE`] makes progress.
const PIECE: usize = 16 * 1024;
/// The kernel's send buffer, in bytes. By default it grows to megabytes, for which a slow reader needs minutes without
/// visible progress.
pub(super) const SEND_BUFFER: usize = 256 * 1024;

/// A socket that fails with `TimedOut` if the peer accepts nothing for `patience`, or has to make room for others. It counts what
/// comes of heads.
pub(super) struct Patient {
    stream: TcpStream,
    patience: Duration,
    head: Head,
    /// Set only while a write is pending; most connections never need it.
    wait: Option<(Unread, Waits)>,
    held: Arc<Held>,
    /// Set only once the protocol has changed: until then the task that serves the connection looks at it.
    cut_off: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, patience: Duration, head: Head, held: Arc<Held>) -> Self {
        Self {
            stream,
            patience,
            head,
            wait: None,
            held,
            cut_off: None,
        }
    }

    /// Fails a connection of another protocol once the server waits no longer, or it has to make room; `cx` is woken at that
    /// moment.
    fn check_cut_off(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let connection = &self.held.guest.connection;
        if !connection.is_upgraded() {
            return Ok(());
        }
        if connection.seat.poll_ended(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let cut_off = &self.held.cut_off;
        let wait = self
            .cut_off
            .get_or_insert_with(|| Box::pin(cut_off.clone().cancelled_owned()));
        match wait.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// `bytes` are those that hyper holds itself: over HTTP/1.1 it takes all that there is of an answer.
    fn bounded<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce() -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.wait = None;
            return written;
        }
        let (guest, patience) = (&self.held.guest, self.patience);
        let (readers, connection) = (&guest.crowd.readers, &guest.connection);
        // Over HTTP/2 there is also what h2 has taken over, which grows while the socket accepts nothing. The rest of each
        // answer is counted by its stream.
        let bytes = bytes() + connection.bytes_handed();
        let (wait, _) = self.wait.get_or_insert_with(|| {
            let unread = Unread::begin(readers, connection.origin, bytes, patience);
            (unread, Waits::begin(connection, ALL))
        });
        wait.holds(readers, bytes);
        wait.poll(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the reader does not read",
            ))
        })
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut_off(cx)?;
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        this.head.after(&read, came, &this.held.guest);
        read
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_cut_off(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.bounded(written, || data.len(), cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_cut_off(cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        let bytes = || data.iter().map(|piece| piece.len()).sum::<usize>();
        self.bounded(written, bytes, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// More answers than a connection has at a time: all of them wait if its socket accepts nothing.
const ALL: usize = 1 << 16;

/// Answers of a connection that wait for its reader, until this is dropped.
struct Waits {
    connection: Arc<Connection>,
    answers: usize,
}

impl Waits {
    fn begin(connection: &Arc<Connection>, answers: usize) -> Self {
        connection.waiting.begin(answers);
        Self {
            connection: Arc::clone(connection),
            answers,
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.connection.waiting.end(self.answers);
    }
}

/// The progress of the reader of one stream.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// 0 while the next data has to come from us, otherwise the number of the piece that it has not accepted yet.
    piece: AtomicU32,
    /// The bytes that are there for it, with that piece.
    bytes: AtomicUsize,
}

tokio::task_local! {
    /// The stream that is currently polled, for the body of its answer.
    static STREAM: Arc<Progress>;
}

/// Runs the streams of one HTTP/2 connection. It drops, and thereby resets, those whose readers do not read.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) crowd: Arc<Crowd>,
    pub(super) connection: Arc<Connection>,
    pub(super) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.connection.begins_stream();
        let progress = Arc::new(Progress::default());
        tokio::spawn(Stream {
            stream: STREAM.scope(Arc::clone(&progress), stream),
            progress,
            streams: self.clone(),
            wait: None,
        });
    }
}

pin_project! {
    struct Stream<F: Future> {
        #[pin]
        stream: tokio::task::futures::TaskLocalFuture<Arc<Progress>, F>,
        progress: Arc<Progress>,
        streams: Streams,
        // Set only while the reader has not accepted a piece, and which one.
        wait: Option<(u32, Unread, Waits)>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let piece = this.progress.piece.load(Ordering::Relaxed);
        if piece == 0 {
            *this.wait = None;
            return Poll::Pending;
        }
        if this.wait.as_ref().is_none_or(|(last, ..)| *last != piece) {
            // The last one leaves the line before this one joins it.
            *this.wait = None;
            let waits = Waits::begin(&this.streams.connection, 1);
            *this.wait = Some((piece, this.streams.unread(this.progress), waits));
        }
        match this.wait {
            Some((_, wait, _)) => wait.poll(cx).map(|()| {
                let origin = this.streams.connection.origin;
                tracing::debug!(?origin, "reset a stream whose reader does not read");
            }),
            None => Poll::Pending,
        }
    }
}

impl Streams {
    fn unread(&self, progress: &Progress) -> Unread {
        let bytes = progress.bytes.load(Ordering::Relaxed);
        let (readers, origin) = (&self.crowd.readers, self.connection.origin);
        Unread::begin(readers, origin, bytes, self.patience)
    }
}

/// The body of an answer that is being sent. Its request counts as open until this is dropped.
pub(super) struct Outgoing {
    body: Body,
    /// The rest of a frame that is sent in pieces.
    rest: Bytes,
    /// An error of the body that was not passed on to hyper yet; over HTTP/1.1 only.
    broken: Option<axum::Error>,
    /// `None` over HTTP/1.1.
    progress: Option<(Arc<Progress>, u32)>,
    open: Open,
}

impl Outgoing {
    pub(super) fn new(body: Body, open: Open) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            broken: None,
            progress: STREAM.try_with(|stream| (Arc::clone(stream), 0)).ok(),
            open,
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some((progress, piece)) = &mut this.progress else {
            if let Some(error) = this.broken.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            if let Poll::Ready(Some(Err(error))) = polled {
                // On an error hyper drops everything that it has not sent, including the head, so it gets a chance to
                // send that first.
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return polled;
        };
        progress.piece.store(0, Ordering::Relaxed);
        let mut data = std::mem::take(&mut this.rest);
        if data.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(new) => data = new,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        progress.bytes.store(data.len(), Ordering::Relaxed);
        if data.len() > PIECE {
            this.rest = data.split_off(PIECE);
        }
        // Never 0, which means that the next data has to come from us.
        *piece = piece.wrapping_add(1).max(1);
        progress.piece.store(*piece, Ordering::Relaxed);
        let data = hand_over(data, this.open.connection());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(inner.lower() + rest);
        hint
    }
}
