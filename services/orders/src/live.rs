//! Subscriptions to orders, and the one task that looks for their changes (ADR 28).
//!
//! A reader holds no connection to the database and has no queue. The history of a watched order is kept once for all of its
//! readers, each of which only remembers its position: a slow one delays nobody and needs no buffer. An order changes three
//! times at most, so its history is short.
//!
//! Changes that this process makes are read at once ([`Live::changed`]). Those of other replicas are found by reading all
//! watched orders every [`LOOK`], in one statement. An order that nobody watches costs one lookup in a map.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::db;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{domain::Change, store};

/// The interval at which all watched orders are read: the longest delay until a change of another replica is seen.
const LOOK: Duration = Duration::from_secs(1);

/// An order's changes as far as they are known here, in order.
pub(crate) type Known = Arc<Vec<Change>>;

/// The orders that are watched in this process. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// An entry for each order that has a reader: as many as there are streams, at most.
    watched: Mutex<HashMap<Uuid, Watched>>,
    /// Notified when an order is watched for the first time, or changes.
    wake: Notify,
}

struct Watched {
    known: watch::Sender<Known>,
    /// Whether this process has changed it since it was last read.
    is_due: bool,
}

impl Live {
    /// Watches an order. The subscription sees what is committed from now on; the caller reads earlier changes from the database
    /// and [adds](Subscription::learn) them.
    pub(crate) fn subscribe(&self, order_id: Uuid) -> Subscription {
        let mut watched = self.0.watched.lock();
        if watched.is_empty() {
            self.0.wake.notify_one();
        }
        let entry = watched.entry(order_id).or_insert_with(|| Watched {
            known: watch::Sender::new(Known::default()),
            is_due: false,
        });
        Subscription {
            live: self.clone(),
            order_id,
            known: entry.known.subscribe(),
        }
    }

    /// Reports a change of an order that is committed.
    pub(crate) fn changed(&self, order_id: Uuid) {
        if let Some(watched) = self.0.watched.lock().get_mut(&order_id) {
            watched.is_due = true;
            self.0.wake.notify_one();
        }
    }

    /// Adds the changes of an order that are not known yet. `changes` must be in order and without gaps.
    fn learn(&self, order_id: Uuid, changes: Vec<Change>) {
        let watched = self.0.watched.lock();
        let Some(entry) = watched.get(&order_id) else {
            return;
        };
        entry.known.send_if_modified(|known| {
            let last = last(known);
            let mut new = changes.into_iter().filter(|change| change.sequence > last);
            let Some(first) = new.next() else {
                return false;
            };
            let known = Arc::make_mut(known);
            known.push(first);
            known.extend(new);
            true
        });
    }

    /// Adds changes as they were read, order by order. Of an order with one that cannot be read, as a version writes it that is rolled
    /// out while this one still runs, none is added from there on: there would be a gap. The readers of other orders do not notice.
    fn learn_all(&self, changes: Vec<(Uuid, sqlx::Result<Change>)>) {
        let mut unreadable: Vec<(Uuid, sqlx::Error)> = Vec::new();
        for (order_id, change) in changes {
            let is_behind = unreadable.last().is_some_and(|(id, _)| *id == order_id);
            match change {
                _ if is_behind => {}
                Ok(change) => self.learn(order_id, vec![change]),
                Err(error) => unreadable.push((order_id, error)),
            }
        }
        if let Some((order_id, error)) = unreadable.first() {
            let orders = unreadable.len();
            tracing::error!(%order_id, %error, orders, "changes of watched orders cannot be read, this one's among them; their readers wait");
        }
    }

    /// Watched orders and the last change that is known of each: those that are due, or all of them.
    fn take(&self, all: bool) -> Vec<(Uuid, i64)> {
        let mut watched = self.0.watched.lock();
        let wanted = watched.iter_mut().filter_map(|(id, entry)| {
            let is_wanted = std::mem::take(&mut entry.is_due) || all;
            is_wanted.then(|| (*id, last(&entry.known.borrow())))
        });
        wanted.collect()
    }

    fn is_idle(&self) -> bool {
        self.0.watched.lock().is_empty()
    }
}

/// The sequence of the last change; 0 before the first.
fn last(known: &Known) -> i64 {
    known.last().map_or(0, |change| change.sequence)
}

/// One reader's view of an order. The order is watched until its last one is dropped.
pub(crate) struct Subscription {
    live: Live,
    order_id: Uuid,
    known: watch::Receiver<Known>,
}

impl Subscription {
    /// Passes the order's history, as read from the database from its beginning, to all of its readers.
    pub(crate) fn learn(&self, history: Vec<Change>) {
        self.live.learn(self.order_id, history);
    }

    /// What is known now.
    pub(crate) fn known(&mut self) -> Known {
        self.known.borrow_and_update().clone()
    }

    /// Waits until more is known than what [`Subscription::known`] returned last.
    pub(crate) async fn more(&mut self) {
        // The sender lives as long as the entry, and the entry as long as this subscription.
        if self.known.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// The order.
    pub(crate) fn order_id(&self) -> Uuid {
        self.order_id
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watched = self.live.0.watched.lock();
        let is_last = |entry: &Watched| entry.known.receiver_count() <= 1;
        if watched.get(&self.order_id).is_some_and(is_last) {
            watched.remove(&self.order_id);
        }
    }
}

/// Reads the changes of watched orders, until `shutdown`. It takes one connection for a short time, whatever the number of
/// readers, and none while nothing is watched.
pub(crate) async fn follow(live: Live, pool: PgPool, shutdown: CancellationToken) {
    let mut next = Instant::now() + LOOK;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = live.0.wake.notified() => {}
            () = sleep_until(next), if !live.is_idle() => {}
        }
        let all = Instant::now() >= next;
        if all {
            next = Instant::now() + LOOK;
        }
        let seen = live.take(all);
        if seen.is_empty() {
            continue;
        }
        let changes = store::changes_after(&pool, seen);
        match db::within(db::ANSWER_TIMEOUT, changes).await {
            Ok(changes) => live.learn_all(changes),
            // The next read of all orders finds them. Readiness reports the database.
            Err(error) if db::is_unavailable(&error) => {}
            Err(error) => {
                tracing::error!(%error, "changes of watched orders cannot be read; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::Status;

    const ORDER: Uuid = Uuid::from_u128(1);

    fn change(sequence: i64, status: Status) -> Change {
        Change {
            sequence,
            status,
            reason: None,
            at: DateTime::from_timestamp(1_750_000_000 + sequence, 0).unwrap(),
        }
    }

    #[test]
    fn readers_of_an_order_share_what_is_known() {
        let live = Live::default();
        let (mut first, mut second) = (live.subscribe(ORDER), live.subscribe(ORDER));
        first.learn(vec![change(1, Status::Pending)]);
        // The histories overlap, since one was read before the other; no change is added twice.
        second.learn(vec![
            change(1, Status::Pending),
            change(3, Status::Confirmed),
        ]);
        first.learn(vec![change(1, Status::Pending)]);
        assert_eq!(
            *first.known(),
            [change(1, Status::Pending), change(3, Status::Confirmed)]
        );
        assert!(Arc::ptr_eq(&first.known(), &second.known()));
        assert_eq!(live.take(true), [(ORDER, 3)]);
    }

    #[test]
    fn a_change_that_cannot_be_read_keeps_no_other_order_from_its_readers() {
        let live = Live::default();
        let other = Uuid::from_u128(2);
        let [mut broken, mut whole] = [ORDER, other].map(|order| live.subscribe(order));
        live.learn_all(vec![
            (ORDER, Ok(change(1, Status::Pending))),
            (ORDER, Err(sqlx::Error::Decode("no such status".into()))),
            (ORDER, Ok(change(3, Status::Confirmed))),
            (other, Ok(change(1, Status::Pending))),
        ]);
        assert_eq!(*broken.known(), [change(1, Status::Pending)], "no gap");
        assert_eq!(*whole.known(), [change(1, Status::Pending)]);
    }

    #[test]
    fn what_nobody_watches_is_forgotten() {
        let live = Live::default();
        let (first, second) = (live.subscribe(ORDER), live.subscribe(ORDER));
        drop(first);
        assert_eq!(live.take(true).len(), 1);
        drop(second);
        assert!(live.is_idle());
        live.changed(ORDER);
        live.learn(ORDER, vec![change(1, Status::Pending)]);
        assert!(live.is_idle());
    }

    #[test]
    fn only_what_changed_here_is_due_at_once() {
        let live = Live::default();
        let _watched = [live.subscribe(ORDER), live.subscribe(Uuid::nil())];
        assert!(live.take(false).is_empty());
        live.changed(ORDER);
        assert_eq!(live.take(false), [(ORDER, 0)]);
        assert!(live.take(false).is_empty(), "once");
        assert_eq!(live.take(true).len(), 2);
    }
}
