//! The layer.

use std::time::Duration;

use tower::Layer;

use super::DeadlineService;

/// Limits the time of each whole call of the wrapped service: the outermost layer of a client.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer {
    within: Duration,
}

impl DeadlineLayer {
    /// Limits calls to `within`, or to the caller's own deadline if that is earlier.
    #[must_use]
    pub fn new(within: Duration) -> Self {
        Self { within }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService::new(inner, self.within)
    }
}
