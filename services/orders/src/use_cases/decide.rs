//! Taking in what products decided about stock.

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

/// What products decided about an order.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Which order.
    pub(crate) order_id: Uuid,
    /// What was decided.
    pub(crate) verdict: Verdict,
}

/// What can be decided about stock.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All lines are set aside.
    Reserved,
    /// There is not enough, with the reason.
    Rejected(String),
}

/// Takes in decisions: the orders, and what is told of them.
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
            count_decided(order);
            log(order, decided.get(&order.id));
        }
    });
    Ok(())
}

/// The line of the log that says how an order was decided, in the trace of the decision.
fn log(order: &Order, span: Option<&Span>) {
    let parent = span.and_then(Span::id);
    match order.status {
        Status::Confirmed => {
            tracing::info!(parent: parent, order_id = %order.id, "order confirmed")
        }
        _ => tracing::info!(parent: parent, order_id = %order.id, "order rejected"),
    }
}

/// Moves the order and tells of it; returns whether there was something to do: what is decided stays decided, by
/// whichever answer came first.
fn apply(
    tx: &mut Transaction,
    decision: &Received<Decision>,
    order: Option<&mut Order>,
    now: DateTime<Utc>,
) -> Result<bool, OutboxError> {
    let (order_id, event_id) = (decision.fact.order_id, decision.cause.id);
    let Some(order) = order else {
        // An order's event is written with the order, so its answer never comes first.
        tracing::warn!(%order_id, %event_id, "a decision about an order that is not here");
        return Ok(false);
    };
    let step = match &decision.fact.verdict {
        Verdict::Reserved => order.confirm(now),
        Verdict::Rejected(reason) => order.reject(reason.clone(), now),
    };
    if let Err(refused) = step {
        tracing::debug!(%order_id, %event_id, %refused, "the order is decided already");
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
