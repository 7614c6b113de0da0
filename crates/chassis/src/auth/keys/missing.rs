//! Key ids that the source did not know.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long an id that the source did not know is not looked for again. A fetch that finds it, for whatever reason it was
/// made, ends this at once: known keys are looked at first.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);
/// The most ids that are remembered: 16 KiB. Whoever invents more of them pushes out others' inventions.
pub(super) const IDS_MAX: usize = 1024;

/// Remembers hashes and not the ids, which are as long as their inventor likes. The hash is seeded at random, so nobody can
/// make an id that is taken for another.
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
            // All of them recent: begin again. At most [`super::WAITING_MAX`] come in a second.
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
