//! What every use case works with.

use std::time::Duration;

use chassis::http::streams::Streams;
use chrono::{DateTime, SubsecRound as _, Utc};
use contracts::clients::Catalog;
use outbox::Outbox;
use sqlx::PgPool;

use crate::{events::PlacedVersions, idempotency::Running, live::Live};

/// Shared by all use cases; a clone is the same.
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
    /// In which versions it is told that an order was placed.
    pub(crate) placed_versions: PlacedVersions,
    /// How long to wait for a decision about stock before asking again.
    pub(crate) saga_deadline: Duration,
    /// How long after its confirmation an order can be cancelled.
    pub(crate) cancel_window: Duration,
    /// How much later than it a cancel may be committed that began within it: as long as a request may take.
    pub(crate) cancel_margin: Duration,
    /// Who watches which orders here.
    pub(crate) live: Live,
    /// The places of those who watch.
    pub(crate) streams: Streams,
    /// The time between two signs of life on a stream without changes.
    pub(crate) heartbeat: Duration,
}

impl App {
    /// The time, as PostgreSQL stores it: it counts microseconds, and what is stored is what is answered. The one clock
    /// of the use cases.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}
