//! How a service that is built on `chassis` tells and takes events: one way for all of them.

use std::sync::Arc;

use chassis::{Base, trace};
use messaging::{Publisher, Status};
use sqlx::PgPool;

use crate::relay::relay;
use crate::{Consumers, Outbox, RelayOptions};

/// Starts the relay of a service's outbox as one of its tasks. Its work goes on without the broker; that the broker does not
/// take events is reported to `status`.
pub fn start_relay(
    base: &mut Base,
    pool: &PgPool,
    outbox: &Outbox,
    publisher: Arc<dyn Publisher>,
    options: RelayOptions,
    status: Status,
) {
    let (pool, outbox, stop) = (pool.clone(), outbox.clone(), base.shutdown.token());
    let relay = relay(pool, outbox, publisher, options, status, stop);
    base.tasks.spawn("outbox relay", relay);
}

impl Consumers {
    /// The consumers of a service: their work on an event is part of the trace that its message carries.
    #[must_use]
    pub fn of_service(pool: PgPool, outbox: Outbox) -> Self {
        Self::new(pool, outbox).traced(trace::consumer_span, trace::of)
    }
}
