//! The body of an answer, which holds its call's place in the bulkhead.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use resilience::bulkhead::Permit;
use tonic::Status;

/// The messages of an answer. The call counts as under way until they have been read or dropped.
#[derive(Debug)]
pub struct HeldBody {
    body: tonic::body::Body,
    permit: Option<Permit>,
}

impl HeldBody {
    pub(super) fn new(body: tonic::body::Body, permit: Permit) -> Self {
        let permit = (!body.is_end_stream()).then_some(permit);
        Self { body, permit }
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_over = match &frame {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || self.body.is_end_stream(),
            Poll::Ready(_) => true,
        };
        if is_over {
            self.permit = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
