//! Topics of a subscription that the account may not read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::Status;

/// Tells a [`Status`] of them: down while there are any, whoever finds out. A broker that refuses a topic outright says so when it
/// is asked for the topic. One that lets the account write to it and not read from it says so only when a partition is read, and
/// once; that the right is there again shows in the partition's next message.
#[derive(Debug)]
pub(super) struct Unread {
    status: Status,
    /// Held while it is told, so that reports come in the order of what they say. Bounded by what is subscribed to.
    refused: Mutex<BTreeSet<Refused>>,
    /// Whether there are any; asked for each message, so it takes no lock.
    any: AtomicBool,
}

/// A topic and the partition that was refused, unless it was the topic.
type Refused = (String, Option<i32>);

impl Unread {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            refused: Mutex::default(),
            any: AtomicBool::new(false),
        }
    }

    /// The brokers do not let the account read it.
    pub(super) fn refused(&self, topic: &str, partition: Option<i32>) {
        let mut refused = self.refused.lock();
        if refused.insert((topic.to_owned(), partition)) {
            self.tell(&refused);
        }
    }

    /// The brokers let it be read, or it is read by another member now.
    pub(super) fn lifted(&self, topic: &str, partition: Option<i32>) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut refused = self.refused.lock();
        if refused.remove(&(topic.to_owned(), partition)) {
            self.tell(&refused);
        }
    }

    fn tell(&self, refused: &BTreeSet<Refused>) {
        self.any.store(!refused.is_empty(), Ordering::Relaxed);
        let first = refused.first();
        self.status
            .tell(first.map_or(Ok(()), |(topic, _)| Err(may_not_read(topic))));
    }
}

/// Why a topic is not read that the brokers refuse to the account.
pub(super) fn may_not_read(topic: &str) -> String {
    format!("the account may not read the topic {topic}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn it_is_told_while_there_are_any() {
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let notes = Arc::clone(&told);
        let status = Status::new(Arc::new(move |state| notes.lock().push(state)));
        let unread = Unread::new(status);
        unread.lifted("a", None);
        unread.refused("b", Some(0));
        unread.refused("b", Some(1));
        unread.refused("a", None);
        unread.lifted("a", None);
        unread.lifted("b", Some(2));
        unread.lifted("b", Some(0));
        let down = |topic: &str| Err(may_not_read(topic));
        assert_eq!(*told.lock(), [down("b"), down("a"), down("b")]);
        unread.lifted("b", Some(1));
        unread.lifted("b", Some(1));
        assert_eq!(told.lock().last(), Some(&Ok(())));
        assert_eq!(told.lock().len(), 4);
    }
}
