//! Group commit of new orders: most of what an order costs the database is its statement and its commit, not its rows.

use std::slice;
use std::sync::Arc;

use chassis::db;
use messaging::Together;
use outbox::Outbox;
use sqlx::PgPool;
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::place::{Claimed, NewOrder, place_all};

/// The most orders of a statement.
const ORDERS_MAX: usize = 32;
/// An order weighs as many lines as it has, and no less than this.
const LINES_EACH: usize = 8;
/// The most that the orders of a statement may weigh together; a single one may weigh more.
const LINES_MAX: usize = ORDERS_MAX * LINES_EACH;

type Answer = oneshot::Sender<sqlx::Result<Claimed>>;

/// An order whose caller waits for its answer.
#[derive(Debug)]
struct Waiting {
    new: NewOrder,
    answer: Answer,
}

/// Places orders. Those that come while a statement is under way share the next one; one that comes alone has a statement of its
/// own at once.
pub(crate) struct Placer {
    pool: PgPool,
    outbox: Outbox,
    /// Returns nothing: a group's task answers.
    groups: Together<Waiting, ()>,
    /// The span in which this was made, of the service: the lines of a statement belong to no request of those who share it.
    service: Span,
}

impl Placer {
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self {
            pool,
            outbox,
            groups: Together::weighed(LINES_MAX, weight),
            service: Span::current(),
        }
    }

    /// Inserts a new order with its lines and its events, and the answer under its key, unless another transaction has
    /// inserted one or is doing so; all of it or nothing.
    ///
    /// A caller that is dropped before its statement begins has placed nothing; afterwards its order may be placed.
    ///
    /// # Errors
    /// The database's. Unless its answer got lost, nothing of the order was inserted.
    pub(crate) async fn place(self: &Arc<Self>, new: NewOrder) -> sqlx::Result<Claimed> {
        outbox::watched(&self.pool, "place order", self.join(new)).await
    }

    async fn join(self: &Arc<Self>, new: NewOrder) -> sqlx::Result<Claimed> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { new, answer };
        self.groups.call(waiting, |group| self.lead(group)).await;
        // If our leader was cancelled, the task of the group still answers.
        answered.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Places a group in a task of its own, which the end of the leader's request does not cancel: its statement may have
    /// run, and the others could not know. If they tried again by themselves, an order would be refused for its own id, or
    /// be placed twice under a new one; and a key would be found running.
    async fn lead(self: &Arc<Self>, group: Vec<Waiting>) -> Vec<()> {
        let place = Arc::clone(self).place_group(group);
        let task = tokio::spawn(place.instrument(self.service.clone()));
        // A task that panicked has dropped the answers.
        task.await.ok();
        Vec::new()
    }

    /// Places a group and answers its callers. Ends if none of them waits any longer: the database does no work for those who
    /// have gone.
    async fn place_group(self: Arc<Self>, group: Vec<Waiting>) {
        let (orders, mut answers): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| (waiting.new, waiting.answer))
            .unzip();
        tokio::select! {
            biased;
            claimed = self.claimed(&orders) => {
                for (claimed, answer) in claimed.into_iter().zip(answers) {
                    // A caller that is gone needs no answer.
                    answer.send(claimed).ok();
                }
            }
            () = nobody_waits(&mut answers) => {}
        }
    }

    /// What became of each order of a group, in their order.
    async fn claimed(&self, group: &[NewOrder]) -> Vec<sqlx::Result<Claimed>> {
        match self.in_one_statement(group).await {
            Ok(claimed) => claimed.into_iter().map(Ok).collect(),
            Err(error) if group.len() == 1 => vec![Err(error)],
            // Each by itself would meet the same outage, one after the other.
            Err(error) if db::is_unavailable(&error) => {
                let of_each = |_: &NewOrder| Err(db::outage_of_all(&error));
                group.iter().map(of_each).collect()
            }
            Err(_) => self.one_by_one(group).await,
        }
    }

    /// Something of the group was refused, and none of it was placed. One order may be at fault: the others must not share it.
    async fn one_by_one(&self, group: &[NewOrder]) -> Vec<sqlx::Result<Claimed>> {
        let mut all = Vec::with_capacity(group.len());
        for new in group {
            match self.in_one_statement(slice::from_ref(new)).await {
                Ok(claimed) => all.extend(claimed.into_iter().map(Ok)),
                Err(error) if db::is_unavailable(&error) => {
                    all.resize_with(group.len(), || Err(db::outage_of_all(&error)));
                    break;
                }
                Err(error) => all.push(Err(error)),
            }
        }
        all
    }

    async fn in_one_statement(&self, group: &[NewOrder]) -> sqlx::Result<Vec<Claimed>> {
        let mut connection = db::acquire_for_all(&self.pool).await?;
        place_all(&self.outbox, &mut connection, group).await
    }
}

/// What an order adds to a group's statement, in lines.
fn weight(waiting: &Waiting) -> usize {
    waiting.new.order.lines.len().max(LINES_EACH)
}

/// Waits until the callers of all answers are gone.
async fn nobody_waits(answers: &mut [Answer]) {
    for answer in answers {
        answer.closed().await;
    }
}

#[cfg(test)]
mod tests;
