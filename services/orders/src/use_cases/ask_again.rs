//! Requesting stock again when no answer came in time.

use chassis::trace;
use chrono::{DateTime, Utc};
use outbox::Transaction;
use tracing::Instrument as _;

use crate::{app::App, domain::Order, error::Error, events, store};

/// The most orders of one transaction, which locks their rows until it ends.
const BATCH: i64 = 100;

/// Requests stock again for one batch of overdue orders; returns whether there may be more of them.
///
/// The request is a new event with the next sequence; products recognises the order and repeats its first decision.
pub(crate) async fn ask_again(app: &App) -> Result<bool, Error> {
    let now = app.now();
    let mut tx = app.outbox.begin_named(&app.pool, "ask again").await?;
    let mut overdue = store::lock_overdue(&mut tx, now, BATCH).await?;
    for order in &mut overdue {
        // A new trace for each batch: without a request to belong to, all batches would share one.
        let span = trace::root_span("saga ask again");
        ask_for(app, &mut tx, order, now).instrument(span).await?;
    }
    tx.commit().await?;
    let asked = overdue.len() as u64;
    if asked > 0 {
        metrics::counter!("orders_saga_reasked_total").increment(asked);
    }
    Ok(asked == BATCH.unsigned_abs())
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
