//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::{FaultService, Faults};

/// Lets the calls of one target be broken.
#[derive(Debug, Clone)]
pub struct FaultLayer<F> {
    faults: Faults,
    target: Arc<str>,
    fail: F,
}

impl<F> FaultLayer<F> {
    /// Calls through this layer are those of `target`; one that fails ends with what `fail` returns: an answer such
    /// as a 503, or an error of the service's own type.
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
