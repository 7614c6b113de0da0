//! The saga's deadline: an order that stays pending is asked for again.
//!
//! The outbox sends each event at least once, but what happens to it afterwards is not in our hands: a
//! broker loses a disk, a topic is truncated, a consumer parks the message. So a pending order
//! carries the time at which to ask again, and this task asks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{app::App, use_cases::ask_again::ask_again};

/// The longest time between two looks at the table.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The shortest, so that a tiny deadline does not make a busy loop.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// Asks again for orders whose answer is overdue, until `shutdown`.
pub(crate) async fn watch_deadlines(app: App, shutdown: CancellationToken) {
    // An order is asked for again at most a quarter of its deadline late.
    let pause = (app.saga_deadline / 4).clamp(MIN_PAUSE, MAX_PAUSE);
    loop {
        let more = match ask_again(&app).await {
            Ok(more) => more,
            // Readiness tells of it.
            Err(error) if error.is_unavailable() => false,
            Err(error) => {
                tracing::error!(%error, "overdue orders cannot be asked for again");
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
