//! The layer.

use std::time::Duration;

use tower::Layer;

use super::DeadlineService;

/// Bounds each whole call of the service that it wraps: the outermost layer of a client.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer {
    within: Duration,
}

impl DeadlineLayer {
    /// Calls end `within` this time, or earlier if the caller's own deadline is.
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
