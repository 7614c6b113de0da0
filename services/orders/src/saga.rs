//! The saga's deadline: an order that stays pending is asked for again.
//!
//! The outbox sends each event at least once, but what happens to it afterwards is not in our hands: a
//! broker loses a disk, a topic is truncated, a consumer parks the message. So a pending order
//! carries the time at which to ask again, and this task asks. It is a new event with the next
//! sequence; products recognise the order and answer with what they decided before.

use std::time::Duration;

use chassis::trace;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{app::App, domain::Order, error::OrdersError, events, store};

/// Orders that one transaction asks for again: their rows are locked until it ends.
const BATCH: i64 = 100;

/// The longest time between two looks at the table.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The shortest, so that a tiny deadline does not make a busy loop.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// Asks again for orders whose answer is overdue, until `shutdown`.
pub(crate) async fn watch_deadlines(app: App, shutdown: CancellationToken) {
    // An order is asked for again at most a quarter of its deadline late.
    let pause = (app.saga_deadline / 4).clamp(MIN_PAUSE, MAX_PAUSE);
    loop {
        let full = match ask_again(&app).await {
            Ok(asked) => asked == BATCH.unsigned_abs(),
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
        if !full {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

async fn ask_for(
    app: &App,
    tx: &mut PgConnection,
    order: &mut Order,
    now: DateTime<Utc>,
) -> Result<(), OrdersError> {
    // The statement picked pending orders only, and their rows are locked.
    if let Err(refused) = order.ask_again(now, app.saga_deadline) {
        tracing::error!(order_id = %order.id, %refused, "an order that is decided has a deadline");
        return Ok(());
    }
    store::save(tx, order).await?;
    app.outbox
        .add(tx, &events::topic(), &events::placed(order))
        .await?;
    tracing::info!(order_id = %order.id, asked = order.asked, "no answer about stock in time; asking again");
    Ok(())
}

/// Asks again for one batch of overdue orders; answers how many.
async fn ask_again(app: &App) -> Result<u64, OrdersError> {
    let now = events::now();
    let mut tx = app.pool.begin().await?;
    let mut overdue = store::lock_overdue(&mut tx, now, BATCH).await?;
    for order in &mut overdue {
        let span = trace::root_span("saga ask again");
        ask_for(app, &mut tx, order, now).instrument(span).await?;
    }
    tx.commit().await?;
    let asked = overdue.len() as u64;
    if asked > 0 {
        app.outbox.wake();
        metrics::counter!("orders_saga_reasked_total").increment(asked);
    }
    Ok(asked)
}
