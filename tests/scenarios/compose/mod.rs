//! What only containers can show: engines that go away, services that go one by one, replicas, isolation.

pub(crate) mod dead_letters;
pub(crate) mod engines;
pub(crate) mod isolation;
pub(crate) mod observability;
pub(crate) mod services;
