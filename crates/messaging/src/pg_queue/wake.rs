//! Tells consumers in this process that a message is there, so that they need not wait for their next poll.
//!
//! Not `LISTEN`/`NOTIFY`: a commit that notifies takes one lock for the whole database cluster, so
//! all publishers would queue up behind each other's commits.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// One bell for each queue that is consumed in this process.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<HashMap<String, Arc<Notify>>>);

impl Wakes {
    /// The bell of a queue, for its consumer.
    pub(super) fn of(&self, queue: &str) -> Arc<Notify> {
        let mut bells = self.0.lock();
        Arc::clone(bells.entry(queue.to_owned()).or_default())
    }

    /// Rings for all consumers of the queue, if there are any.
    pub(super) fn ring(&self, queue: &str) {
        let bells = self.0.lock();
        if let Some(bell) = bells.get(queue) {
            bell.notify_waiters();
        }
    }
}
