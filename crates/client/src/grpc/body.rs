//! The body of an answer, which holds its call's place in the bulkhead.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use resilience::bulkhead::Permit;
use tokio::time::{Sleep, sleep};
use tonic::Status;

/// The messages of an answer. The call counts as under way until they have been read or dropped. They end with
/// `UNAVAILABLE` if none arrives for as long as the client's `idle`: the call's deadline is for the head.
#[derive(Debug)]
pub struct HeldBody {
    body: tonic::body::Body,
    permit: Option<Permit>,
    idle_timeout: Duration,
    /// Set only while nothing is ready: most answers arrive with their head and never need a timer.
    idle: Option<Pin<Box<Sleep>>>,
}

impl HeldBody {
    pub(super) fn new(body: tonic::body::Body, permit: Permit, idle_timeout: Duration) -> Self {
        let permit = (!body.is_end_stream()).then_some(permit);
        Self {
            body,
            permit,
            idle_timeout,
            idle: None,
        }
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.idle = None;
            let is_over = match &frame {
                Some(Ok(frame)) => frame.is_trailers() || this.body.is_end_stream(),
                _ => true,
            };
            if is_over {
                this.permit = None;
            }
            return Poll::Ready(frame);
        }
        let idle_timeout = this.idle_timeout;
        ready!(
            this.idle
                .get_or_insert_with(|| Box::pin(sleep(idle_timeout)))
                .as_mut()
                .poll(cx)
        );
        this.permit = None;
        let status =
            Status::unavailable(format!("the answer paused for more than {idle_timeout:?}"));
        Poll::Ready(Some(Err(status)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};
    use resilience::bulkhead::{Bulkhead, Config};
    use tokio_stream::StreamExt;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_pauses_too_long_ends_and_gives_its_place_back() {
        let bulkhead = Bulkhead::new(Config::default()).unwrap();
        let permit = bulkhead.try_acquire().unwrap();
        let first = Ok::<_, Status>(Frame::data(Bytes::from_static(b"a")));
        let frames = tokio_stream::iter([first]).chain(tokio_stream::pending());
        let body = tonic::body::Body::new(StreamBody::new(frames));
        let mut body = HeldBody::new(body, permit, Duration::from_millis(20));
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(bulkhead.snapshot().in_flight, 1);
        let status = body.frame().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("paused"), "{status:?}");
        assert_eq!(bulkhead.snapshot().in_flight, 0);
    }
}
