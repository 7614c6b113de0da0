//! The state that all use cases share.

use std::sync::Arc;
use std::time::Duration;

use chassis::http::streams::Streams;
use chrono::{DateTime, SubsecRound as _, Utc};
use contracts::clients::Catalog;
use outbox::Outbox;
use sqlx::PgPool;

use crate::{events::PlacedVersions, idempotency::Running, live::Live, store::Placer};

/// Database, clients and settings for the use cases. Clones share them.
#[derive(Clone)]
pub(crate) struct App {
    /// The database of this service.
    pub(crate) pool: PgPool,
    /// Sends events when a transaction commits.
    pub(crate) outbox: Outbox,
    /// Writes new orders.
    pub(crate) placer: Arc<Placer>,
    /// The client of the catalogue, which provides prices.
    pub(crate) catalog: Catalog,
    /// The idempotency keys whose requests are running in this process.
    pub(crate) running: Running,
    /// The versions in which `agora.order.placed` is published.
    pub(crate) placed_versions: PlacedVersions,
    /// How long to wait for a decision about stock before asking again.
    pub(crate) saga_deadline: Duration,
    /// How long after its confirmation an order can be cancelled.
    pub(crate) cancel_window: Duration,
    /// How long after the end of the window a cancel that began within it may commit: as long as a request may take.
    pub(crate) cancel_margin: Duration,
    /// The orders that clients of this process watch.
    pub(crate) live: Live,
    /// Limits the number of open event streams.
    pub(crate) streams: Streams,
    /// The interval of heartbeats on a stream without changes.
    pub(crate) heartbeat: Duration,
}

impl App {
    /// The current time in whole microseconds, PostgreSQL's resolution, so that an answer and the stored row show the same
    /// time. The only clock of the use cases.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}
