//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::{FaultService, Faults};

/// Applies fault rules to the calls of one target.
#[derive(Debug, Clone)]
pub struct FaultLayer<F> {
    faults: Faults,
    target: Arc<str>,
    fail: F,
}

impl<F> FaultLayer<F> {
    /// Calls through this layer count as calls of `target`; a call that fails ends with the result of `fail`: an answer
    /// such as a 503, or an error of the service's own type.
    #[must_use]
    pub fn new(faults: Faults, target: impl Into<Arc<str>>, fail: F) -> Self {
        Self {
            faults,
            target: target.into(),
            fail,
        }
    }
}

impl<S, F: Clone> Layer<S> for FaultLayer<F> {
    type Service = FaultService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        let (faults, target) = (self.faults.clone(), Arc::clone(&self.target));
        FaultService::new(inner, faults, target, self.fail.clone())
    }
}
