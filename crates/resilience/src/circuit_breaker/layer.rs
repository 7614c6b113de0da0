//! The layer.

use tower::Layer;

use super::{CircuitBreak, CircuitBreaker};

/// Puts a breaker before the service that it wraps. All services that one layer makes, and all clones of them,
/// share that breaker.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer<C> {
    breaker: CircuitBreaker,
    classify: C,
}

impl<C> CircuitBreakerLayer<C> {
    /// Calls go through `breaker`, and `classify` says what their results mean.
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
