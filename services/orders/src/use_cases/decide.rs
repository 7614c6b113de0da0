//! Applying the decisions of products about stock.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use envelope::{Event, EventData};
use outbox::{Failure, OutboxError, Received, Transaction};
use tracing::Span;
use uuid::Uuid;

use super::count_decided;
use crate::{
    app::App,
    domain::{Order, Status},
    events, store,
};

/// A decision of products about an order.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Which order.
    pub(crate) order_id: Uuid,
    /// What was decided.
    pub(crate) verdict: Verdict,
}

/// The possible decisions.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All lines are reserved.
    Reserved,
    /// There is not enough, with the reason.
    Rejected(String),
}

/// Applies decisions: updates the orders and publishes their events.
pub(crate) async fn decide(
    app: &App,
    tx: &mut Transaction,
    decisions: Vec<Received<Decision>>,
) -> Result<(), Failure> {
    let now = app.now();
    let ids: Vec<_> = decisions.iter().map(|d| d.fact.order_id).collect();
    let mut orders = store::lock_all(tx, &ids).await?;
    let mut decided: HashMap<Uuid, Span> = HashMap::new();
    for decision in &decisions {
        let order_id = decision.fact.order_id;
        let order = orders.get_mut(&order_id);
        if decision.span.in_scope(|| apply(tx, decision, order, now))? {
            decided.insert(order_id, decision.span.clone());
        }
    }
    orders.retain(|id, _| decided.contains_key(id));
    store::save_all(tx, orders.values()).await?;
    let live = app.live.clone();
    tx.on_commit(move || {
        for order in orders.values() {
            live.changed(order.id);
            // No other order can be decided.
            count_decided(order, Status::Pending);
            log(order, decided.get(&order.id));
        }
    });
    Ok(())
}

/// Logs how an order was decided, in the trace of the decision.
fn log(order: &Order, span: Option<&Span>) {
    let parent = span.and_then(Span::id);
    match order.status {
        Status::Confirmed => {
            tracing::info!(parent: parent, order_id = %order.id, "order confirmed")
        }
        _ => tracing::info!(parent: parent, order_id = %order.id, "order rejected"),
    }
}

/// Changes the order and publishes the event; returns whether anything changed. The first answer decides, and later ones
/// change nothing.
fn apply(
    tx: &mut Transaction,
    decision: &Received<Decision>,
    order: Option<&mut Order>,
    now: DateTime<Utc>,
) -> Result<bool, OutboxError> {
    let (order_id, event_id) = (decision.fact.order_id, decision.cause.id);
    let Some(order) = order else {
        // The order and its event are committed together, so the answer cannot come before the order is there.
        tracing::warn!(%order_id, %event_id, "a decision about an unknown order; ignored");
        return Ok(false);
    };
    let step = match &decision.fact.verdict {
        Verdict::Reserved => order.confirm(now),
        Verdict::Rejected(reason) => order.reject(reason.clone(), now),
    };
    if let Err(refused) = step {
        tracing::debug!(%order_id, %event_id, %refused, "the order is already decided; ignored");
        return Ok(false);
    }
    match order.status {
        Status::Confirmed => tell(tx, decision, order, events::confirmed(order))?,
        _ => tell(tx, decision, order, events::rejected(order))?,
    }
    Ok(true)
}

fn tell<T: EventData>(
    tx: &mut Transaction,
    decision: &Received<Decision>,
    order: &Order,
    event: Event<T>,
) -> Result<(), OutboxError> {
    let event = event.caused_by(&decision.cause).with_correlation(order.id);
    tx.tell(&events::topic(), &event)
}
