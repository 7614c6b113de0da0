//! The layer.

use tower::Layer;

use super::{CircuitBreak, CircuitBreaker};

/// Puts a breaker in front of the wrapped service. All services created by one layer, and all their clones, share that
/// breaker.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer<C> {
    breaker: CircuitBreaker,
    classify: C,
}

impl<C> CircuitBreakerLayer<C> {
    /// Sends calls through `breaker`; `classify` decides which results are failures.
    pub fn new(breaker: CircuitBreaker, classify: C) -> Self {
        Self { breaker, classify }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreak<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreak::new(inner, self.breaker.clone(), self.classify.clone())
    }
}
