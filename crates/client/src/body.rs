//! The bodies of requests.

mod sent;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};

pub use sent::Sent;
pub(crate) use sent::{Sending, Turn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The most bytes of a request's body that are kept in memory so that it can be sent again; a longer body is streamed
/// and cannot be retried.
const REPLAY_BYTES_MAX: usize = 1 << 20;

/// The body of a request. A body that is complete in memory can be sent again; a stream cannot, because by the time an
/// attempt has failed a part of the stream has already been consumed.
#[derive(Debug)]
pub enum RequestBody {
    /// The complete body.
    Whole(Full<Bytes>),
    /// A body that is read from its source while it is sent.
    Stream(Sent),
}

impl RequestBody {
    /// A complete body of these bytes.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }

    /// A body that is passed on while it arrives. Only an empty one counts as whole.
    #[must_use]
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::whole(Bytes::new());
        }
        Self::Stream(Sent::new(body.map_err(Into::into).boxed_unsync()))
    }

    /// Takes everything of `body` that is ready now. The single message of a unary gRPC call is ready at once and
    /// becomes a whole body; a body whose writer has more to come stays a stream.
    pub(crate) fn ready<B>(mut body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut taken = BytesMut::new();
        let mut context = Context::from_waker(Waker::noop());
        while taken.len() <= REPLAY_BYTES_MAX {
            match pin!(&mut body).poll_frame(&mut context) {
                Poll::Ready(None) => return Self::whole(taken),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => taken.extend_from_slice(&data),
                    Err(trailers) => return Self::rest(taken, Some(Ok(trailers)), body),
                },
                Poll::Ready(Some(Err(error))) => {
                    return Self::rest(taken, Some(Err(error)), body);
                }
                Poll::Pending => break,
            }
        }
        Self::rest(taken, None, body)
    }

    fn rest<B>(taken: BytesMut, next: Option<Result<Frame<Bytes>, B::Error>>, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let first = (!taken.is_empty()).then(|| Ok(Frame::data(taken.freeze())));
        let next = next.map(|next| next.map_err(Into::into));
        let body = Rest {
            before: [first, next],
            body,
        };
        Self::Stream(Sent::new(body.boxed_unsync()))
    }

    /// The progress of sending, if the body is a stream.
    pub(crate) fn sending(&self) -> Option<Arc<Sending>> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(body) => Some(body.sending()),
        }
    }

    /// A copy of the body, or `None` if it is a stream.
    pub(crate) fn copy(&self) -> Option<Self> {
        match self {
            Self::Whole(body) => Some(Self::Whole(body.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// The frames that were already taken from a body, followed by the rest of that body.
struct Rest<B> {
    before: [Option<Result<Frame<Bytes>, BoxError>>; 2],
    body: B,
}

impl<B> Body for Rest<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(taken) = this.before.iter_mut().find_map(Option::take) {
            return Poll::Ready(Some(taken));
        }
        Pin::new(&mut this.body)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use tokio_stream::StreamExt;

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, std::io::Error>>;

    fn data(text: &'static str) -> Result<Frame<Bytes>, std::io::Error> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    async fn read(body: RequestBody) -> Result<Bytes, BoxError> {
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn what_is_there_can_be_sent_again() {
        let frames: Frames = vec![data("a"), data("b")];
        let body = RequestBody::ready(StreamBody::new(tokio_stream::iter(frames)));
        assert_eq!(read(body.copy().unwrap()).await.unwrap(), "ab");
        assert_eq!(read(body).await.unwrap(), "ab");
        assert!(
            RequestBody::stream(Full::<Bytes>::default())
                .copy()
                .is_some()
        );
    }

    #[tokio::test]
    async fn a_stream_is_passed_on_in_order_and_only_once() {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let late = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let frames: Frames = vec![data("a"), data("b")];
        let body = RequestBody::ready(StreamBody::new(tokio_stream::iter(frames).chain(late)));
        assert!(body.copy().is_none());
        sender.send(data("c")).await.unwrap();
        drop(sender);
        assert_eq!(read(body).await.unwrap(), "abc");
        assert!(
            RequestBody::stream(Full::new(Bytes::from("a")))
                .copy()
                .is_none()
        );
    }

    #[tokio::test]
    async fn an_error_comes_after_what_was_before_it() {
        let frames: Frames = vec![data("a"), Err(std::io::Error::other("gone"))];
        let mut body = RequestBody::ready(StreamBody::new(tokio_stream::iter(frames)));
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "a");
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "gone");
    }
}
