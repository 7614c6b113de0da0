//! The handle of an outbox: what writers and the relay have in common.

use std::sync::Arc;

use tokio::sync::watch;

/// The handle of an outbox. A clone is the same outbox: one is for whatever writes, one for the relay.
///
/// The [front page of the crate](crate) shows its use.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// Counts the commits that told something. A counter and not a `Notify`: a relay that is in the middle of a pass
    /// must see afterwards that there is more, and each worker has to see it for itself.
    wakes: Arc<watch::Sender<u64>>,
}

impl Outbox {
    /// An outbox that nobody writes to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the relays of this process: a transaction has committed. Not public: [`Transaction::commit`] is the one
    /// who knows when.
    ///
    /// [`Transaction::commit`]: crate::Transaction::commit
    pub(crate) fn wake(&self) {
        self.wakes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What a relay worker waits on.
    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }
}
