//! The layer.

use tower::Layer;

use super::{Bulkhead, BulkheadService};
use crate::classify::ErrorsAreFailures;

/// Sends the calls of the wrapped service through a bulkhead. Services wrapped by the same layer, or by layers with the
/// same bulkhead, share its places.
#[derive(Debug, Clone)]
pub struct BulkheadLayer<C = ErrorsAreFailures> {
    bulkhead: Bulkhead,
    classify: C,
}

impl BulkheadLayer {
    /// Sends calls through `bulkhead`. For an adaptive limit every error counts as a failure.
    #[must_use]
    pub fn new(bulkhead: Bulkhead) -> Self {
        Self {
            bulkhead,
            classify: ErrorsAreFailures,
        }
    }
}

impl<C> BulkheadLayer<C> {
    /// The bulkhead of this layer.
    #[must_use]
    pub fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// Sets which results an adaptive limit counts as failures. `classify` is cloned for each call.
    #[must_use]
    pub fn classify_with<D>(self, classify: D) -> BulkheadLayer<D> {
        BulkheadLayer {
            bulkhead: self.bulkhead,
            classify,
        }
    }
}

impl<S, C: Clone> Layer<S> for BulkheadLayer<C> {
    type Service = BulkheadService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BulkheadService::new(inner, self.bulkhead.clone(), self.classify.clone())
    }
}
