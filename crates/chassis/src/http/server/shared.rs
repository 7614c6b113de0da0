//! State that the servers of one process share.

use std::cmp::Reverse;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::crowd::Crowd;
use crate::descriptors;

/// The descriptors that the connections of all servers of this process share, except those of admin ports.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) places: Arc<Semaphore>,
    crowds: Mutex<Vec<Weak<Crowd>>>,
}

impl Shared {
    pub(super) fn of_process() -> &'static Self {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        SHARED.get_or_init(|| {
            let places =
                usize::try_from(descriptors::connections_max()).unwrap_or(Semaphore::MAX_PERMITS);
            Self {
                places: Arc::new(Semaphore::new(places)),
                crowds: Mutex::default(),
            }
        })
    }

    /// Registers a server, so that its idle connections can be closed to make room.
    pub(super) fn register(&self, crowd: &Arc<Crowd>) {
        let mut crowds = self.crowds.lock();
        crowds.retain(|crowd| crowd.strong_count() > 0);
        crowds.push(Arc::downgrade(crowd));
    }

    /// Closes an idle connection of any server. Returns false if there is none.
    pub(super) fn close_idlest(&self) -> bool {
        let most = self
            .crowds()
            .into_iter()
            .max_by_key(|crowd| crowd.strangers_idle());
        most.is_some_and(|crowd| crowd.close_idlest())
    }

    /// Closes a connection of any server that waits for nothing but its reader, or ends a request that waits for its sender; first at
    /// the server with the most connections. Returns false if there is none.
    pub(super) fn end_stalled(&self) -> bool {
        let mut crowds = self.crowds();
        crowds.sort_by_cached_key(|crowd| Reverse(crowd.strangers()));
        crowds.iter().any(|crowd| crowd.end_stalled())
    }

    fn crowds(&self) -> Vec<Arc<Crowd>> {
        let crowds = self.crowds.lock();
        crowds.iter().filter_map(Weak::upgrade).collect()
    }
}
