//! A cache of verified tokens: an Ed25519 check costs some 50 µs, and a user sends the same token with every request.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::Caller;
use super::claims::unix_now;

/// The most tokens in the cache (each some 500 bytes).
pub(super) const TOKENS_MAX: usize = 4096;

/// A bounded map from the whole token to its verified caller.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<Verified>);

#[derive(Default)]
struct Verified {
    callers: HashMap<String, Entry>,
    generation: Generation,
}

/// Which keys the cached tokens were checked with: it grows whenever the keys have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation(u64);

struct Entry {
    caller: Caller,
    exp: u64,
}

impl TokenCache {
    /// The caller of a cached token that has not expired.
    pub(super) fn get(&self, token: &str) -> Option<Caller> {
        let verified = self.verified();
        let entry = verified.callers.get(token)?;
        (unix_now() < entry.exp).then(|| entry.caller.clone())
    }

    /// The present generation, to be read before a key is looked up.
    pub(super) fn generation(&self) -> Generation {
        self.verified().generation
    }

    /// Caches a token until its `exp`, unless the keys have changed since `generation`: it may have been verified with one
    /// that was withdrawn meanwhile. Who has such a key chooses `exp`, and would be let in until then.
    pub(super) fn put(&self, caller: &Caller, exp: u64, generation: Generation) {
        let mut verified = self.verified();
        if verified.generation != generation {
            return;
        }
        let entries = &mut verified.callers;
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
        let mut verified = self.verified();
        verified.callers.clear();
        verified.generation.0 += 1;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.verified().callers.len()
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
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
            cache.put(&caller(number), unix_now() + 60, cache.generation());
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
        cache.put(&caller(1), unix_now(), cache.generation());
        assert_eq!(cache.get(&caller(1).token), None);
    }

    #[test]
    fn not_if_its_key_may_have_been_withdrawn_meanwhile() {
        let cache = TokenCache::default();
        let looked_up = cache.generation();
        cache.clear();
        cache.put(&caller(1), unix_now() + 60, looked_up);
        assert_eq!(cache.get(&caller(1).token), None);
        cache.put(&caller(1), unix_now() + 60, cache.generation());
        assert_eq!(cache.get(&caller(1).token), Some(caller(1)));
    }
}
