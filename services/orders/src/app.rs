//! What every handler of this service works with.

use std::time::Duration;

use contracts::clients::Catalog;
use outbox::Outbox;
use sqlx::PgPool;

use crate::idempotency::Running;

/// Shared by all handlers; a clone is the same.
#[derive(Clone)]
pub(crate) struct App {
    /// The database of this service.
    pub(crate) pool: PgPool,
    /// The way to tell others, from within a transaction.
    pub(crate) outbox: Outbox,
    /// Names prices.
    pub(crate) catalog: Catalog,
    /// Idempotency keys whose requests are being worked on here.
    pub(crate) running: Running,
    /// How long to wait for a decision about stock before asking again.
    pub(crate) saga_deadline: Duration,
    /// How long after its confirmation an order can be cancelled.
    pub(crate) cancel_window: Duration,
}
