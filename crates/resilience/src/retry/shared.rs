//! State that the layer, its services and their calls share.

use std::sync::Arc;

use super::stats::Counters;
use super::{Budget, RetryConfig};

#[derive(Debug)]
pub(super) struct Shared<P> {
    pub(super) policy: P,
    pub(super) config: RetryConfig,
    pub(super) budget: Budget,
    pub(super) counters: Arc<Counters>,
}
