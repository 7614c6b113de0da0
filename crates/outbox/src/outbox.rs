//! The handle of an outbox: what writers and the relay have in common.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use crate::lane::{LANES, Lanes};

/// How many commits have told something in each lane.
type Commits = [u64; LANES as usize];

/// The handle of an outbox. A clone is the same outbox: one is for whatever writes, one for the relay.
///
/// The [front page of the crate](crate) shows its use.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// Counters and not a `Notify`: a relay that is in the middle of a pass must see afterwards that there is more, and
    /// each worker has to see it for itself.
    commits: Arc<watch::Sender<Commits>>,
}

impl Outbox {
    /// An outbox that nobody writes to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the relay workers of this process that these lanes belong to: a transaction has committed. Not public:
    /// [`Transaction::commit`] is the one who knows when.
    ///
    /// [`Transaction::commit`]: crate::Transaction::commit
    pub(crate) fn wake(&self, lanes: Lanes) {
        self.commits.send_modify(|commits| {
            for lane in lanes.iter() {
                commits[lane] = commits[lane].wrapping_add(1);
            }
        });
    }

    /// What the relay worker of these lanes waits on.
    pub(crate) fn wakes(&self, lanes: Lanes) -> Wakes {
        let mut commits = self.commits.subscribe();
        let seen = *commits.borrow_and_update();
        Wakes {
            lanes,
            seen,
            commits,
        }
    }
}

/// The commits that concern one relay worker. A pass that finds nothing costs the database as much as one that finds
/// something, so the others leave the worker asleep.
#[derive(Debug)]
pub(crate) struct Wakes {
    lanes: Lanes,
    /// What had been committed when it was last asked.
    seen: Commits,
    commits: watch::Receiver<Commits>,
}

impl Wakes {
    /// What is committed from now on ends the next wait; what was committed before does not.
    pub(crate) fn mark_seen(&mut self) {
        self.seen = *self.commits.borrow_and_update();
    }

    /// Waits for a commit in one of the lanes since [`mark_seen`](Self::mark_seen).
    pub(crate) async fn changed(&mut self) {
        let (lanes, seen) = (self.lanes, self.seen);
        let is_new = |now: &Commits| lanes.iter().any(|lane| now[lane] != seen[lane]);
        let nobody_is_left = self.commits.wait_for(is_new).await.is_err();
        if nobody_is_left {
            pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::lane;

    #[test]
    fn a_commit_wakes_the_worker_of_its_lane_and_no_other() {
        let outbox = Outbox::new();
        let mut workers = [0, 1].map(|worker| outbox.wakes(lane::of_worker(worker, 2)));
        let key = (0..).map(|n| n.to_string()).find(|key| lane::of(key) == 3);
        let mut told = Lanes::default();
        told.insert(lane::of(&key.expect("there are endlessly many")));
        outbox.wake(told);
        let woken = workers
            .each_mut()
            .map(|wakes| wakes.changed().now_or_never().is_some());
        assert_eq!(woken, [false, true]);

        workers[1].mark_seen();
        assert!(workers[1].changed().now_or_never().is_none());
    }
}
