//! The saga's deadline: stock is requested again for an order that stays pending.
//!
//! The outbox sends each event at least once, but it can be lost afterwards: a broker loses a disk, a topic is truncated, a
//! consumer parks the message. So a pending order has a time at which to request stock again, and this task does so.

use std::time::Duration;

use chassis::db;
use tokio_util::sync::CancellationToken;

use crate::{app::App, use_cases::ask_again::ask_again};

/// The longest pause between two queries for overdue orders.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The shortest pause, so that a tiny deadline does not cause a busy loop.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// Requests stock again for orders whose answer is overdue, until `shutdown`.
pub(crate) async fn watch_deadlines(app: App, shutdown: CancellationToken) {
    // The request is at most a quarter of the deadline late.
    let pause = (app.saga_deadline / 4).clamp(MIN_PAUSE, MAX_PAUSE);
    loop {
        let more = match db::within(db::ANSWER_TIMEOUT, ask_again(&app)).await {
            Ok(more) => more,
            // Readiness reports it.
            Err(error) if error.is_unavailable() => false,
            Err(error) => {
                tracing::error!(%error, "stock not requested again for overdue orders; trying again in the next round");
                false
            }
        };
        if shutdown.is_cancelled() {
            return;
        }
        if !more {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
