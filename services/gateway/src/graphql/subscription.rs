//! The subscriptions.

use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use chassis::problem::Problem;
use chrono::{DateTime, Utc};
use contracts::rest::v2;
use futures::{Stream, stream};

use super::apart::apart;
use super::asking::Asking;
use super::refusal::{error, of_call};
use super::types::{Long, OrderStatus, parse_id};

/// Answers that go on.
pub(super) struct Live;

/// A status that an order got.
#[derive(SimpleObject, Debug)]
struct OrderChange {
    /// Which order.
    order_id: ID,
    /// Grows from change to change, not always by one. Pass the last one as `after` to go on where a stream ended.
    sequence: Long,
    /// Where the order stands since.
    status: OrderStatus,
    /// Why it was rejected.
    reason: Option<String>,
    /// The same for programs: `stock_rejected`, and whatever is added to it later.
    reason_code: Option<String>,
    /// When it changed.
    changed_at: DateTime<Utc>,
}

impl From<v2::OrderChange> for OrderChange {
    fn from(change: v2::OrderChange) -> Self {
        let reason = change.reason.map(|reason| (reason.text, reason.code));
        let (reason, reason_code) = reason.unzip();
        Self {
            order_id: change.order_id.into(),
            sequence: Long(change.sequence.cast_signed()),
            status: change.status.into(),
            reason,
            reason_code,
            changed_at: change.changed_at,
        }
    }
}

#[Subscription(name = "Subscription")]
impl Live {
    /// What changes in an order of one's own, from the beginning or after a change, and then as it happens. Ends when the
    /// order can change no more.
    async fn order_changed(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "The sequence of the last change that is known.")] after: Option<Long>,
    ) -> Result<impl Stream<Item = Result<OrderChange>> + use<>> {
        let asking = Asking::of(context)?;
        let token = asking.caller()?.token.clone();
        let id = parse_id(&id)?;
        let after = after.map(|Long(after)| u64::try_from(after)).transpose();
        let after = after.map_err(|_| {
            error(&Problem::bad_request(
                "after must be the sequence of a change",
            ))
        })?;
        let (seen, orders) = (asking.seen.clone(), asking.services.orders.v2());
        // `Last-Event-ID` of a reconnect is newer than the argument `after`.
        let (calls, after) = (asking.calls.clone(), seen.last().or(after));
        let again = calls.clone();
        // Whoever reads this may take nothing while it waits for its turn, or for its answer.
        let events = apart(async move {
            let call = orders.events(&token, id, after);
            calls.make("orders", call).await
        });
        let events = events.await.map_err(of_call)?;
        let events = events.asking_through(move |asking| {
            let calls = again.clone();
            Box::pin(apart(async move { calls.make("orders", asking).await }))
        });
        Ok(stream::unfold(Some(events), move |events| {
            let seen = seen.clone();
            async move {
                let mut events = events?;
                match events.next().await? {
                    Ok(change) => {
                        seen.note(change.sequence);
                        Some((Ok(change.into()), Some(events)))
                    }
                    Err(failed) => Some((Err(of_call(failed)), None)),
                }
            }
        }))
    }
}
