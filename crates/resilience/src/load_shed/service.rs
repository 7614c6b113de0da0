//! The service.

use std::task::{Context, Poll};

use tower::Service;

use super::handle::Joining;
use super::{Exempt, LoadShed, LoadShedError, ResponseFuture};

/// A service that refuses calls when the server is overloaded.
///
/// It decides in `call` and not in `poll_ready`, since only the request shows whether it is exempt.
#[derive(Debug, Clone)]
pub struct LoadShedService<S, X> {
    inner: S,
    load_shed: LoadShed,
    exempt: X,
}

impl<S, X> LoadShedService<S, X> {
    pub(super) fn new(inner: S, load_shed: LoadShed, exempt: X) -> Self {
        Self {
            inner,
            load_shed,
            exempt,
        }
    }
}

impl<S, R, X> Service<R> for LoadShedService<S, X>
where
    S: Service<R> + Clone,
    X: Exempt<R>,
{
    type Response = S::Response;
    type Error = LoadShedError<S::Error>;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(LoadShedError::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if self.exempt.is_exempt(&request) {
            self.load_shed.count_exempt();
            return ResponseFuture::begun(self.inner.call(request), None);
        }
        if let Some(permit) = self.load_shed.try_acquire() {
            return ResponseFuture::begun(self.inner.call(request), Some(permit));
        }
        match self.load_shed.join() {
            Ok(Joining::Enters(permit)) => {
                ResponseFuture::begun(self.inner.call(request), Some(permit))
            }
            Ok(Joining::Waits(waiting)) => {
                // The original, which was polled ready, goes with the call, as tower requires.
                let next = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, next);
                ResponseFuture::waiting(waiting, ready, request)
            }
            Err(overloaded) => ResponseFuture::refused(overloaded),
        }
    }
}
