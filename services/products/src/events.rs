//! The order events that the service consumes, and its answers.
//!
//! It reacts to `agora.order.placed` (in either version, read as the second) and `agora.order.cancelled.v1` on
//! `order-events`, and answers on `stock-events`, keyed by the order's id. The stock and the reservations (what happened) and the answers (tell them)
//! are written in the transaction in which the consumer notes the events in the inbox (it happened).

mod deciding;

use std::collections::HashSet;

use contracts::events::{
    OrderCancelled, OrderPlacedV2, StockRejected, StockReleased, StockReserved,
};
use contracts::topics::STOCK_EVENTS;
use envelope::{Event, EventData};
use messaging::Destination;
use outbox::{EventHandler, Failure, OutboxError, Reads, Received, Transaction};
use uuid::Uuid;

use crate::domain::{BadLines, Cancellation, Decision, Lines, cancel};
use crate::store::reservations;
use deciding::{Locked, decide_and_store};

/// The consumer group, and the consumer name under which the inbox records handled events.
pub(crate) const GROUP: &str = "products";

/// The version of a new reservation.
const FIRST_VERSION: i64 = 1;

/// What an order event asks of this service.
#[derive(Debug)]
pub(crate) struct Wish {
    order_id: Uuid,
    /// The lines to reserve; `None` if the order was cancelled.
    lines: Option<Lines>,
}

type Asked = Received<Wish>;

/// Handles order events.
#[derive(Debug)]
pub(crate) struct OrderEvents;

impl EventHandler for OrderEvents {
    type Fact = Wish;

    fn reads() -> Reads<Wish> {
        Reads::new()
            .try_event(|order: OrderPlacedV2| {
                let items = order.items.iter();
                let lines = Lines::parse(items.map(|item| (item.product_id, item.quantity)))?;
                Ok::<_, BadLines>(Wish {
                    order_id: order.order_id,
                    lines: Some(lines),
                })
            })
            .event(|order: OrderCancelled| Wish {
                order_id: order.order_id,
                lines: None,
            })
    }

    fn name_of(&self, events: &[Asked]) -> &'static str {
        let is_cancelled = |asked: &Asked| asked.fact.lines.is_none();
        match events.iter().all(is_cancelled) {
            true => "release stock",
            false => "reserve stock",
        }
    }

    async fn apply(&self, tx: &mut Transaction, events: Vec<Asked>) -> Result<(), Failure> {
        let runs = runs(events);
        let mut locked = Locked::Nothing;
        if runs.len() > 1 {
            let wishes = || runs.iter().flatten().map(|asked| &asked.fact);
            let orders: Vec<_> = wishes().map(|wish| wish.order_id).collect();
            let lines = wishes().flat_map(|wish| &wish.lines);
            reservations::lock_ahead(tx, &orders, lines).await?;
            locked = Locked::Shelves;
        }
        for run in runs {
            match &run[..] {
                [asked] if asked.fact.lines.is_none() => cancelled(tx, asked).await?,
                run => placed(tx, run, locked).await?,
            }
        }
        Ok(())
    }
}

/// Splits events into runs that can be handled with the same few statements: placed orders, each of them once. A
/// cancellation is a run by itself, since it can change the result of the events behind it.
fn runs(events: Vec<Asked>) -> Vec<Vec<Asked>> {
    let mut runs: Vec<Vec<Asked>> = Vec::new();
    let mut asking = HashSet::new();
    for asked in events {
        let order_id = asked.fact.order_id;
        let joins = asked.fact.lines.is_some() && asking.insert(order_id);
        match runs.last_mut() {
            Some(run) if joins && run[0].fact.lines.is_some() => run.push(asked),
            _ => {
                asking.clear();
                asking.extend(asked.fact.lines.is_some().then_some(order_id));
                runs.push(vec![asked]);
            }
        }
    }
    runs
}

/// Handles placed orders: each gets all of its lines or none, and the same answer each time.
async fn placed(tx: &mut Transaction, run: &[Asked], locked: Locked) -> Result<(), Failure> {
    let ids: Vec<_> = run.iter().map(|asked| asked.fact.order_id).collect();
    let mut known = reservations::lock_all(tx, &ids).await?;
    let mut new = Vec::new();
    for asked in run {
        let order_id = asked.fact.order_id;
        let Some(known) = known.remove(&order_id) else {
            new.push(asked);
            continue;
        };
        let version = reservations::next_version(tx, order_id).await?;
        answer_with(tx, asked, known.answer(), version)?;
    }
    let wishes = new.iter().map(|asked| &asked.fact);
    let wishes: Vec<_> = wishes
        .filter_map(|wish| Some((wish.order_id, wish.lines.as_ref()?)))
        .collect();
    let decisions = decide_and_store(tx, &wishes, locked).await?;
    for (asked, decision) in new.into_iter().zip(decisions) {
        note(tx, asked, &decision);
        answer_with(tx, asked, decision, FIRST_VERSION)?;
    }
    Ok(())
}

/// Handles a cancelled order: the reserved pieces are for sale again.
async fn cancelled(tx: &mut Transaction, asked: &Asked) -> Result<(), Failure> {
    let order_id = asked.fact.order_id;
    let known = reservations::lock_all(tx, &[order_id]).await?;
    match cancel(known.get(&order_id)) {
        Cancellation::Nothing => {}
        Cancellation::Remember => reservations::remember_cancelled(tx, order_id).await?,
        Cancellation::Release => {
            let version = reservations::release(tx, order_id).await?;
            answer(tx, asked, StockReleased { order_id }, version, "released")?;
        }
    }
    Ok(())
}

/// A line of the log for a new decision, once it holds. An answer that is given again has none.
fn note(tx: &mut Transaction, asked: &Asked, decision: &Decision) {
    let (span, order_id) = (asked.span.clone(), asked.fact.order_id);
    let reason = match decision {
        Decision::Reserved => None,
        Decision::Rejected { reason } => Some(reason.clone()),
    };
    tx.on_commit(move || match reason {
        None => tracing::info!(parent: &span, %order_id, "stock reserved"),
        Some(reason) => tracing::info!(parent: &span, %order_id, reason, "stock rejected"),
    });
}

fn answer_with(
    tx: &mut Transaction,
    asked: &Asked,
    decision: Decision,
    version: i64,
) -> Result<(), OutboxError> {
    let order_id = asked.fact.order_id;
    match decision {
        Decision::Reserved => answer(tx, asked, StockReserved { order_id }, version, "reserved"),
        Decision::Rejected { reason } => {
            let data = StockRejected { order_id, reason };
            answer(tx, asked, data, version, "rejected")
        }
    }
}

/// Sends an answer, and counts it under `outcome`.
fn answer<T: EventData>(
    tx: &mut Transaction,
    asked: &Asked,
    data: T,
    version: i64,
    outcome: &'static str,
) -> Result<(), OutboxError> {
    let event = Event::new(data)
        .caused_by(&asked.cause)
        .with_sequence(version.unsigned_abs());
    tx.tell(&Destination::Topic(STOCK_EVENTS.to_owned()), &event)?;
    tx.on_commit(move || {
        metrics::counter!("products_answers_total", "outcome" => outcome).increment(1);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contracts::asyncapi::received;
    use contracts::topics::ORDER_EVENTS;

    use super::*;

    /// Of what it does not handle the document says so, too.
    #[test]
    fn the_document_says_what_is_read() {
        let read: BTreeSet<_> = OrderEvents::reads().types().map(str::to_owned).collect();
        assert_eq!(read, received(GROUP, ORDER_EVENTS));
    }
}
