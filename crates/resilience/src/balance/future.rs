//! The call and its endpoint.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use crate::classify::Classify;

use super::{BalanceError, Pending};

pin_project! {
    /// Resolves with the endpoint's answer. Counts as pending at the endpoint until it is dropped or resolved.
    pub struct ResponseFuture<K, S, R, C>
    where
        S: Service<R>,
    {
        #[pin]
        call: Call<S, R, S::Future>,
        given: Option<(Pending<K, S>, C)>,
    }
}

pin_project! {
    #[project = CallProjection]
    enum Call<S, R, F> {
        /// Until the endpoint is ready.
        Waiting { service: S, request: Option<R> },
        Called { #[pin] future: F },
        NoEndpoints,
    }
}

impl<K, S, R, C> ResponseFuture<K, S, R, C>
where
    S: Service<R>,
{
    pub(super) fn new(pending: Pending<K, S>, request: R, classify: C) -> Self
    where
        S: Clone,
    {
        let call = Call::Waiting {
            service: pending.service().clone(),
            request: Some(request),
        };
        Self {
            call,
            given: Some((pending, classify)),
        }
    }

    pub(super) fn no_endpoints() -> Self {
        Self {
            call: Call::NoEndpoints,
            given: None,
        }
    }
}

impl<S, R> Call<S, R, S::Future>
where
    S: Service<R>,
{
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BalanceError<S::Error>>> {
        loop {
            let future = match self.as_mut().project() {
                CallProjection::Called { future } => {
                    return future.poll(cx).map_err(BalanceError::Inner);
                }
                CallProjection::NoEndpoints => return Poll::Ready(Err(BalanceError::NoEndpoints)),
                CallProjection::Waiting { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Err(BalanceError::Inner(error)));
                    }
                    service.call(request.take().expect("it is called once, then `Called`"))
                }
            };
            self.set(Call::Called { future });
        }
    }
}

impl<K, S, R, C> Future for ResponseFuture<K, S, R, C>
where
    S: Service<R>,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, BalanceError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        if let Some((mut pending, classify)) = this.given.take() {
            match &result {
                Ok(response) => pending.record(classify.classify(Ok(response))),
                Err(BalanceError::Inner(error)) => pending.record(classify.classify(Err(error))),
                Err(BalanceError::NoEndpoints) => {}
            }
        }
        Poll::Ready(result)
    }
}
