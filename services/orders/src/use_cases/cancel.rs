//! Cancelling an order.

use chassis::auth::Caller;
use uuid::Uuid;

use super::{count_decided, visible};
use crate::{
    app::App,
    domain::{Order, Status},
    error::Error,
    events, store,
};

/// Cancels an order of the caller, and returns it. One that is already cancelled is returned as it is, since a cancellation
/// whose answer was lost is repeated by the client or by a retry in between.
pub(crate) async fn cancel(app: &App, caller: &Caller, id: Uuid) -> Result<Order, Error> {
    let mut tx = app.outbox.begin_named(&app.pool, "cancel order").await?;
    let mut order = visible(store::lock(&mut tx, id).await?, caller)?;
    if order.status == Status::Cancelled {
        return Ok(order);
    }
    let before = order.status;
    order.cancel(app.now(), app.cancel_window)?;
    store::save(&mut tx, &order).await?;
    tx.tell(&events::topic(), &events::cancelled(&order))?;
    tx.commit().await?;
    app.live.changed(order.id);
    count_decided(&order, before);
    Ok(order)
}
