//! File descriptors: how many the process may have, and how many of them connections from outside may take.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::http::Crowd;

/// What connections from outside leave: databases, brokers, calls to other services, admin ports, files.
const RESERVED: std::ops::RangeInclusive<u64> = 64..=2048;
/// The part of all descriptors that is kept, within [`RESERVED`].
const RESERVED_PART: u64 = 2;
/// Below this a server cannot take the connections that it takes by default.
const ENOUGH: u64 = 16 * 1024;
/// The most that counts, where the system sets no limit.
const COUNTED_MAX: u64 = 1 << 20;

/// Raises the soft limit of open files to the hard one, and says so in the log when that is little. Shells give 1024,
/// for programs that use `select`; a server that runs into it cannot answer anybody.
///
/// Call it at the start of `main`, after the telemetry. Returns the limit.
pub fn raise() -> u64 {
    static RAISED: OnceLock<u64> = OnceLock::new();
    *RAISED.get_or_init(|| {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = Rlimit {
            current: maximum,
            maximum,
        };
        let limit = match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => maximum,
            Err(_) => current,
        };
        let limit = limit.unwrap_or(COUNTED_MAX);
        if limit < ENOUGH {
            tracing::warn!(
                open_files_max = limit,
                connections_max = for_connections(limit),
                "few open files are allowed (ulimit -n): idle connections are closed early"
            );
        }
        limit.min(COUNTED_MAX)
    })
}

/// What of `limit` is for connections from outside.
fn for_connections(limit: u64) -> u64 {
    let reserved = (limit / RESERVED_PART).clamp(*RESERVED.start(), *RESERVED.end());
    limit.saturating_sub(reserved).max(1)
}

/// The descriptors that the connections of all servers of this process share, but those of admin ports.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) places: Arc<Semaphore>,
    crowds: Mutex<Vec<Weak<Crowd>>>,
}

impl Shared {
    pub(crate) fn of_process() -> &'static Self {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        SHARED.get_or_init(|| {
            let places =
                usize::try_from(for_connections(raise())).unwrap_or(Semaphore::MAX_PERMITS);
            Self {
                places: Arc::new(Semaphore::new(places)),
                crowds: Mutex::default(),
            }
        })
    }

    /// Counts a server among those that make room.
    pub(crate) fn register(&self, crowd: &Arc<Crowd>) {
        let mut crowds = self.crowds.lock().unwrap_or_else(PoisonError::into_inner);
        crowds.retain(|crowd| crowd.strong_count() > 0);
        crowds.push(Arc::downgrade(crowd));
    }

    /// Closes an idle connection of any server, if there is one.
    pub(crate) fn close_idlest(&self) -> bool {
        let crowds: Vec<_> = {
            let crowds = self.crowds.lock().unwrap_or_else(PoisonError::into_inner);
            crowds.iter().filter_map(Weak::upgrade).collect()
        };
        let most = crowds
            .into_iter()
            .max_by_key(|crowd| crowd.strangers_idle());
        most.is_some_and(|crowd| crowd.close_idlest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept() {
        for (limit, connections) in [
            (32, 1),
            (256, 128),
            (1024, 512),
            (1 << 20, (1 << 20) - 2048),
        ] {
            assert_eq!(for_connections(limit), connections, "{limit}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
