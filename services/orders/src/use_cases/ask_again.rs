//! Requesting stock again when no answer came in time.

use chassis::trace;
use chrono::{DateTime, Utc};
use outbox::Transaction;
use tracing::Instrument as _;

use crate::{
    app::App,
    domain::{MAX_SAGA_WAIT, Order},
    error::Error,
    events, store,
};

/// The most orders of one transaction, which locks their rows until it ends.
const BATCH: i64 = 100;

/// Requests stock again for one batch of overdue orders; returns whether there may be more of them.
///
/// The request is a new event with the next sequence; products recognises the order and repeats its first decision.
///
/// An order that cannot be read, as another version may have written it, is left for the longest wait: as the longest overdue it would
/// be in each batch, and hold up those that are behind it.
pub(crate) async fn ask_again(app: &App) -> Result<bool, Error> {
    let now = app.now();
    let mut tx = app.outbox.begin_named(&app.pool, "ask again").await?;
    let overdue = store::lock_overdue(&mut tx, now, BATCH).await?;
    let is_full = overdue.len() as u64 == BATCH.unsigned_abs();
    let (mut asked, mut unreadable) = (0, Vec::new());
    for order in overdue {
        match order {
            Ok(mut order) => {
                // A new trace for each batch: without a request to belong to, all batches would share one.
                let span = trace::root_span("saga ask again");
                let ask = ask_for(app, &mut tx, &mut order, now);
                ask.instrument(span).await?;
                asked += 1;
            }
            Err((order_id, error)) => {
                tracing::error!(%order_id, %error, "a pending order cannot be read; stock is not requested again for it");
                unreadable.push(order_id);
            }
        }
    }
    if !unreadable.is_empty() {
        store::postpone(&mut tx, &unreadable, now + MAX_SAGA_WAIT).await?;
    }
    tx.commit().await?;
    if asked > 0 {
        metrics::counter!("orders_saga_reasked_total").increment(asked);
    }
    Ok(is_full)
}

async fn ask_for(
    app: &App,
    tx: &mut Transaction,
    order: &mut Order,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // The statement picked pending orders only, and their rows are locked.
    if let Err(refused) = order.ask_again(now, app.saga_deadline) {
        tracing::error!(order_id = %order.id, %refused, "a decided order has a deadline, which is a bug; it is left as it is");
        return Ok(());
    }
    store::save(tx, order).await?;
    events::tell_placed(tx.told(), order, app.placed_versions)?;
    tracing::info!(order_id = %order.id, asked = order.asked, "no answer about stock in time; asking again");
    Ok(())
}
