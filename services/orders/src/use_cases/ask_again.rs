//! Asking for stock again when no answer came in time.

use chassis::trace;
use chrono::{DateTime, Utc};
use outbox::Transaction;
use tracing::Instrument as _;

use crate::{app::App, domain::Order, error::Error, events, store};

/// Orders that one transaction asks for again: their rows are locked until it ends.
const BATCH: i64 = 100;

/// Asks again for one batch of overdue orders; returns whether there may be more of them.
///
/// It is a new event with the next sequence; products recognise the order and answer with what they decided before.
pub(crate) async fn ask_again(app: &App) -> Result<bool, Error> {
    let now = app.now();
    let mut tx = app.outbox.begin_named(&app.pool, "ask again").await?;
    let mut overdue = store::lock_overdue(&mut tx, now, BATCH).await?;
    for order in &mut overdue {
        // Nobody's request: a trace for each, or all that the timer ever starts would be one.
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
        tracing::error!(order_id = %order.id, %refused, "an order that is decided has a deadline");
        return Ok(());
    }
    store::save(tx, order).await?;
    events::tell_placed(tx.told(), order, app.placed_versions)?;
    tracing::info!(order_id = %order.id, asked = order.asked, "no answer about stock in time; asking again");
    Ok(())
}
