//! How long to wait before the next attempt: exponential backoff with jitter.
//!
//! ```
//! use std::time::Duration;
//! use backoff::Backoff;
//!
//! let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
//! let mut attempt = || Err::<(), _>("refused");
//! for _ in 0..3 {
//!     if attempt().is_err() {
//!         assert!(backoff.next() <= Duration::from_millis(400)); // sleep for so long
//!     }
//! }
//! ```
//!
//! Architecture invariant: it sleeps nowhere, reads no clock and knows no runtime; whoever retries does.

use std::time::Duration;

use rand::Rng;

/// The delays between attempts: the n-th is drawn evenly from `0..=min(cap, base · 2ⁿ)`.
///
/// Full jitter, since callers that failed together would come back together with any fixed delay; see
/// Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Its alternative,
/// [equal jitter](Self::next_equal), is for those whose attempts are numbered.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Delays that start at up to `base`, double with each attempt and never exceed `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            attempt: 0,
        }
    }

    /// The same after so many attempts, for those that are counted elsewhere: in a message, in a row of a table.
    #[must_use]
    pub fn after(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    /// The delay to wait before the next attempt.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator without end would have its Option unwrapped everywhere"
    )]
    pub fn next(&mut self) -> Duration {
        self.draw(Duration::ZERO)
    }

    /// The same with equal jitter: half of the longest delay is certain, half is random. It spreads callers less, but a
    /// handful of attempts then lasts as long as it should instead of being used up at once by chance.
    pub fn next_equal(&mut self) -> Duration {
        self.draw(self.ceiling() / 2)
    }

    fn draw(&mut self, least: Duration) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        rand::rng().random_range(least..=ceiling)
    }

    /// The longest that the next delay can be.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Attempts since the start or the last success.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(10);
    const CAP: Duration = Duration::from_secs(5);

    #[test]
    fn delays_double_up_to_the_cap_and_stay_there() {
        let mut backoff = Backoff::new(BASE, CAP);
        let mut ceilings = Vec::new();
        for _ in 0..100 {
            let ceiling = backoff.ceiling();
            assert!(backoff.next() <= ceiling);
            ceilings.push(ceiling);
        }
        assert_eq!(ceilings[..3], [BASE, BASE * 2, BASE * 4]);
        assert!(ceilings.is_sorted());
        assert!(ceilings[9..].iter().all(|&c| c == CAP), "{ceilings:?}");
    }

    #[test]
    fn delays_are_spread() {
        let draw = || {
            let mut backoff = Backoff::new(CAP, CAP);
            backoff.next()
        };
        let delays: Vec<_> = (0..1000).map(|_| draw()).collect();
        assert!(delays.iter().any(|d| *d < CAP / 10));
        assert!(delays.iter().any(|d| *d > CAP * 9 / 10));
    }

    #[test]
    fn half_of_an_equal_delay_is_certain() {
        for (attempt, seconds) in [(0, 1), (1, 2), (2, 4), (3, 5), (40, 5), (u32::MAX, 5)] {
            let ceiling = Duration::from_secs(seconds);
            let mut backoff = Backoff::new(Duration::from_secs(1), CAP).after(attempt);
            assert_eq!(backoff.ceiling(), ceiling);
            let delays: Vec<_> = (0..100).map(|_| backoff.clone().next_equal()).collect();
            assert!(delays.iter().all(|d| (ceiling / 2..=ceiling).contains(d)));
            assert!(delays.iter().any(|d| *d > ceiling * 3 / 4), "it is spread");
            backoff.next_equal();
            assert_eq!(backoff.attempt(), attempt.saturating_add(1));
        }
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(BASE, CAP);
        for _ in 0..20 {
            backoff.next();
        }
        backoff.reset();
        assert_eq!((backoff.ceiling(), backoff.attempt()), (BASE, 0));
    }
}
