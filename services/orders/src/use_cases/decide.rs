//! Taking in what products decided about stock.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use envelope::{Event, EventData, RawEvent};
use outbox::{Entry, inbox};
use tracing::Span;
use uuid::Uuid;

use super::count_decided;
use crate::{
    app::App,
    domain::{Order, Status},
    error::OrdersError,
    events::{self, GROUP},
    store,
};

/// What products decided about an order.
pub(crate) struct Decision {
    /// The event that says so; what follows from it belongs to its trace.
    pub(crate) cause: RawEvent,
    /// The span of taking it in.
    pub(crate) span: Span,
    /// Which order.
    pub(crate) order_id: Uuid,
    /// What was decided.
    pub(crate) verdict: Verdict,
}

/// What can be decided about stock.
pub(crate) enum Verdict {
    /// All lines are set aside.
    Reserved,
    /// There is not enough, with the reason.
    Rejected(String),
}

/// Takes in decisions in one transaction: the inbox, the orders, what is told of them.
pub(crate) async fn decide(app: &App, decisions: Vec<Decision>) -> Result<(), OrdersError> {
    let now = app.now();
    let mut tx = app.pool.begin().await?;
    let ids: Vec<_> = decisions.iter().map(|decision| decision.cause.id).collect();
    let mut first = inbox::accept_all(&mut tx, GROUP, &ids).await?;
    let ids: Vec<_> = decisions.iter().map(|decision| decision.order_id).collect();
    let mut orders = store::lock_all(&mut tx, &ids).await?;

    let mut told = Vec::new();
    let mut decided = HashSet::new();
    for decision in decisions.iter().filter(|d| first.remove(&d.cause.id)) {
        let order = orders.get_mut(&decision.order_id);
        let entry = decision.span.in_scope(|| decision.apply(order, now))?;
        if let Some(entry) = entry {
            told.push(entry);
            decided.insert(decision.order_id);
        }
    }
    orders.retain(|id, _| decided.contains(id));
    store::save_all(&mut tx, orders.values()).await?;
    app.outbox.add_all(&mut tx, told).await?;
    tx.commit().await?;
    if !orders.is_empty() {
        app.outbox.wake();
    }
    orders.values().for_each(count_decided);
    Ok(())
}

impl Decision {
    /// Moves the order; returns what is to be told of it. `None` if there was nothing to do: what is
    /// decided stays decided, by whichever answer came first.
    fn apply(
        &self,
        order: Option<&mut Order>,
        now: DateTime<Utc>,
    ) -> Result<Option<Entry>, OrdersError> {
        let (order_id, event_id) = (self.order_id, self.cause.id);
        let Some(order) = order else {
            // An order's event is written with the order, so its answer never comes first.
            tracing::warn!(%order_id, %event_id, "a decision about an order that is not here");
            return Ok(None);
        };
        let step = match &self.verdict {
            Verdict::Reserved => order.confirm(now),
            Verdict::Rejected(reason) => order.reject(reason.clone(), now),
        };
        if let Err(refused) = step {
            tracing::debug!(%order_id, %event_id, %refused, "the order is decided already");
            return Ok(None);
        }
        let entry = match order.status {
            Status::Confirmed => self.tell(order, events::confirmed(order)),
            _ => self.tell(order, events::rejected(order)),
        };
        Ok(Some(entry?))
    }

    fn tell<T: EventData>(&self, order: &Order, event: Event<T>) -> Result<Entry, OrdersError> {
        let event = event.caused_by(&self.cause).with_correlation(order.id);
        Ok(Entry::new(&events::topic(), &event)?)
    }
}
