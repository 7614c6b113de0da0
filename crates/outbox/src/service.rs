//! How a service that is built on `chassis` tells and takes events: one way for all of them.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Base, trace};
use messaging::{Publisher, Status};
use sqlx::PgPool;

use crate::relay::relay;
use crate::{Consumers, Outbox, RelayOptions, fit_pages};

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
    let (stop, window) = (base.shutdown.token(), options.replay_window);
    let fitted = {
        let (pool, stop) = (pool.clone(), stop.clone());
        async move { stop.run_until_cancelled(fit(&pool, window)).await }
    };
    let (pool, outbox) = (pool.clone(), outbox.clone());
    let relay = relay(pool, outbox, publisher, options, status, stop);
    base.tasks.spawn("outbox relay", async move {
        tokio::join!(relay, fitted);
    });
}

/// Beside the relay, which need not wait: pages of another fill are right, and take more room or more log.
async fn fit(pool: &PgPool, window: Duration) {
    if let Err(error) = fit_pages(pool, window).await {
        tracing::debug!(%error, "the pages of the outbox were not fitted to its replay window");
    }
}

impl Consumers {
    /// The consumers of a service: their work on an event is part of the trace that its message carries.
    #[must_use]
    pub fn of_service(pool: PgPool, outbox: Outbox) -> Self {
        Self::new(pool, outbox).traced(trace::consumer_span, trace::of)
    }
}
