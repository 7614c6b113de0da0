//! Rate limits by GCRA (the crate `governor`): a budget that refills evenly, without windows whose edges could be exploited.
//!
//! A limiter with a state for each recent client would grow without bound if somebody invents clients (IPv6 addresses). So the
//! key is hashed into one of [`SLOTS`] slots, and the memory is bounded by construction. Two clients may fall into one slot and
//! then share a budget; the hash is seeded at random, so that nobody can choose whose slot to share. The alternative, evicting
//! the oldest of many keys, would let attackers evict their own record.

pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod layer;
pub(crate) mod lines;
mod remembered;
mod shares;
mod turns;
pub(crate) mod waiting;

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use chassis::problem::Problem;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// Slots of one limiter: about 2 MB if all of them are in use.
pub const SLOTS: u64 = 1 << 16;
/// How often slots with a full budget are removed.
pub const PURGE_INTERVAL: Duration = Duration::from_secs(30);

type Slots<C> = RateLimiter<u16, DashMapStateStore<u16>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// One limit for each client.
pub struct Limiter<C: Clock = DefaultClock> {
    /// Its name in `RateLimit-Policy`.
    name: &'static str,
    quota: Quota,
    slots: Slots<C>,
    hasher: RandomState,
    clock: C,
}

/// A client has used up its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    name: &'static str,
    /// The requests that are allowed at once.
    burst: u32,
    /// How long the whole budget takes to refill.
    window: Duration,
    /// How long until one more request is allowed.
    pub retry_after: Duration,
}

impl Limiter<DefaultClock> {
    /// `rate` requests per second, and as many at once.
    #[must_use]
    pub fn per_second(name: &'static str, rate: NonZeroU32) -> Self {
        Self::new(name, Quota::per_second(rate), DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn new(name: &'static str, quota: Quota, clock: C) -> Self {
        let slots = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Self {
            name,
            quota,
            slots,
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Charges one request to the budget of `key`.
    ///
    /// # Errors
    /// [`Exceeded`] if there is none left.
    pub fn check(&self, key: impl Hash) -> Result<(), Exceeded> {
        // The remainder is below 2^16.
        let slot = (self.hasher.hash_one(key) % SLOTS) as u16;
        self.slots.check_key(&slot).map_err(|until| Exceeded {
            name: self.name,
            burst: self.quota.burst_size().get(),
            window: self.quota.burst_size_replenished_in(),
            retry_after: until.wait_time_from(self.clock.now()),
        })
    }

    /// Removes the slots whose budget is full, which equal new ones.
    pub fn purge(&self) {
        self.slots.retain_recent();
        self.slots.shrink_to_fit();
    }

    /// Slots in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no slot is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// 429 with `Retry-After` and the fields of draft-ietf-httpapi-ratelimit-headers: the policy (`q` requests in `w` seconds) and
/// the client's state (`r` requests remain, more after `t` seconds).
impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let Exceeded {
            name,
            burst,
            window,
            retry_after,
        } = exceeded;
        let seconds = |duration: Duration| duration.as_millis().div_ceil(1000).max(1);
        let policy = format!("\"{name}\";q={burst};w={}", seconds(window));
        let state = format!("\"{name}\";r=0;t={}", seconds(retry_after));
        let mut problem = Self::too_many_requests(retry_after).with_detail(format!(
            "the limit is {burst} in {} s: slow down",
            seconds(window)
        ));
        for (header, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                problem = problem.with_header(HeaderName::from_static(header), value);
            }
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(rate: u32) -> Limiter<FakeRelativeClock> {
        let quota = Quota::per_minute(NonZeroU32::new(rate).unwrap());
        Limiter::new("test", quota, FakeRelativeClock::default())
    }

    #[test]
    fn a_budget_is_used_up_and_refills_evenly() {
        let limiter = limiter(60);
        for _ in 0..60 {
            limiter.check("ann").unwrap();
        }
        let exceeded = limiter.check("ann").unwrap_err();
        assert_eq!((exceeded.burst, exceeded.window.as_secs()), (60, 60));
        assert!(exceeded.retry_after <= Duration::from_secs(1));
        limiter.clock.advance(Duration::from_secs(1));
        limiter.check("ann").unwrap();
        limiter.check("ann").unwrap_err();
    }

    #[test]
    fn each_client_has_a_budget_of_its_own() {
        let limiter = limiter(1);
        let others = (0..100)
            .filter(|client| limiter.check(client).is_ok())
            .count();
        // Not exactly, since a few keys may share a slot.
        assert!(others > 90, "{others}");
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let limiter = limiter(60);
        (0..SLOTS * 4).for_each(|client| drop(limiter.check(client)));
        assert!(limiter.len() as u64 <= SLOTS);
        limiter.clock.advance(Duration::from_secs(120));
        limiter.purge();
        assert!(limiter.is_empty());
    }
}
