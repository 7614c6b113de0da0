//! A cache of verified tokens: an Ed25519 check costs some 50 µs, and a user sends the same token with every request.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::Caller;
use super::claims::unix_now;

/// The most tokens in the cache (each some 500 bytes).
pub(super) const TOKENS_MAX: usize = 4096;

/// A bounded map from the whole token to its verified caller.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<HashMap<String, Entry>>);

struct Entry {
    caller: Caller,
    exp: u64,
}

impl TokenCache {
    /// The caller of a cached token that has not expired.
    pub(super) fn get(&self, token: &str) -> Option<Caller> {
        let entries = self.entries();
        let entry = entries.get(token)?;
        (unix_now() < entry.exp).then(|| entry.caller.clone())
    }

    /// Caches a verified token until its `exp`.
    pub(super) fn put(&self, caller: &Caller, exp: u64) {
        let mut entries = self.entries();
        if entries.len() >= TOKENS_MAX {
            let now = unix_now();
            entries.retain(|_, entry| now < entry.exp);
        }
        if entries.len() >= TOKENS_MAX {
            // All entries are valid: clear the map. Once per 4096 new tokens, that costs less than keeping an LRU
            // order.
            entries.clear();
        }
        entries.insert(
            caller.token.clone(),
            Entry {
                caller: caller.clone(),
                exp,
            },
        );
    }

    /// Clears the cache, because the keys have changed.
    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries().len()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;

    fn caller(number: usize) -> Caller {
        Caller {
            user_id: uuid::Uuid::nil(),
            role: Role::user("reader"),
            token: format!("token-{number}"),
        }
    }

    #[test]
    fn never_more_than_its_limit() {
        let cache = TokenCache::default();
        for number in 0..TOKENS_MAX * 2 + 10 {
            cache.put(&caller(number), unix_now() + 60);
            assert!(cache.len() <= TOKENS_MAX);
        }
        assert_eq!(
            cache.get(&caller(TOKENS_MAX * 2 + 9).token),
            Some(caller(TOKENS_MAX * 2 + 9))
        );
    }

    #[test]
    fn not_beyond_the_tokens_life() {
        let cache = TokenCache::default();
        cache.put(&caller(1), unix_now());
        assert_eq!(cache.get(&caller(1).token), None);
    }
}
