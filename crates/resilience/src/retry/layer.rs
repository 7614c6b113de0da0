//! The layer.

use std::sync::Arc;

use tower::Layer;

use crate::ConfigError;

use super::shared::Shared;
use super::{Budget, Retry, RetryConfig, RetryStats};

/// Retries calls, as its [`Policy`](super::Policy) allows. The clones of a layer, and all services that it creates,
/// share one policy, one budget and one set of counters.
#[derive(Debug)]
pub struct RetryLayer<P> {
    shared: Arc<Shared<P>>,
}

impl<P> RetryLayer<P> {
    /// Retries the calls that `policy` allows, with the limits and waits of `config`, while `budget` allows it.
    ///
    /// # Errors
    ///
    /// The first field of `config` that is out of its range.
    pub fn new(policy: P, config: RetryConfig, budget: Budget) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            shared: Arc::new(Shared {
                policy,
                config,
                budget,
                counters: Arc::default(),
            }),
        })
    }

    /// A handle of the counters.
    #[must_use]
    pub fn stats(&self) -> RetryStats {
        RetryStats::new(self.shared.counters.clone(), self.shared.budget.clone())
    }
}

// Not derived: the policy need not be `Clone`.
impl<P> Clone for RetryLayer<P> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<S, P> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.shared.clone())
    }
}
