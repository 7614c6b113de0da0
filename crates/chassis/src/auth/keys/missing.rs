//! Key ids that the source did not have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// For how long an unknown id is not looked up again. If any fetch returns the id in the meantime, it is found at once,
/// because known keys are checked first.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// The most ids that are remembered, some 50 KiB. A caller that makes up more ids only displaces other unknown ids.
pub(super) const IDS_MAX: usize = 1024;

/// Stores hashes instead of the ids, whose length the caller chooses. The hash is seeded at random, so that nobody can
/// construct an id that collides with another.
#[derive(Default)]
pub(super) struct Missing {
    since: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Missing {
    pub(super) fn contains(&self, kid: &str) -> bool {
        let since = self.since.lock();
        since
            .get(&self.hasher.hash_one(kid))
            .is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    pub(super) fn add(&self, kid: &str) {
        let mut since = self.since.lock();
        if since.len() >= IDS_MAX {
            since.retain(|_, since| since.elapsed() < REMEMBERED);
        }
        if since.len() >= IDS_MAX {
            // All entries are recent: clear the map. At most [`super::WAITING_MAX`] are added in a second.
            since.clear();
        }
        since.insert(self.hasher.hash_one(kid), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn for_a_while_and_never_too_many() {
        let missing = Missing::default();
        missing.add("a");
        assert!(missing.contains("a") && !missing.contains("b"));
        tokio::time::advance(REMEMBERED).await;
        assert!(!missing.contains("a"));
        for n in 0..IDS_MAX * 3 {
            missing.add(&n.to_string());
            assert!(missing.contains(&n.to_string()));
            assert!(missing.since.lock().len() <= IDS_MAX);
        }
    }
}
