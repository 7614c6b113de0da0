//! Budgets for failed attempts.
//!
//! Passwords are guessed from one address or from many, at one account or at many; and sign-ups can be used to find out
//! which emails have an account. Each failure is charged to up to three budgets, a success to none:
//!
//! | budget of | limits | who is refused when it is used up |
//! |---|---|---|
//! | an address | guesses at many accounts, sign-ups for taken emails | callers without standing at that address |
//! | an account | guesses from many addresses | callers without standing who have failed at this account; a fifth of it is reserved for those who have not |
//! | an account at an address | guesses at one account | only that pair, for a time that grows with each failure |
//!
//! One client can have each address of a site, which are 65,536 networks over IPv6 (ADR 54). So all addresses of a site
//! together have the budget of `SITE_ADDRESSES`, and none of them is new to an account at which another one has failed.
//!
//! An address from which an account was signed in to recently has *standing* for that account: only the third budget
//! applies, and its delay never exceeds [`STANDING_DELAY_MAX`]. So the owner can sign in, from the usual address and
//! from a new one, whatever others do; and users who share an attacker's address sign in as before.
//!
//! An email without an account is treated like any other: the budgets know only names, not accounts.

mod bucket;
mod pair;
mod slots;
mod standing;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use chassis::grpc::Quota;
use tokio::time::Instant;

use crate::{
    origin::Origin,
    turns::{Class, Lane},
};
use bucket::Buckets;
use pair::Pairs;
use standing::Standing;

pub use pair::{DELAY_MAX, FREE_FAILURES, STANDING_DELAY_MAX};

/// The part of an account's budget that is reserved for callers without failures: one in this many.
const KEPT_FOR_THE_CLEAN: u32 = 5;

/// The addresses of a site have the budget of this many together. Over IPv4 a site is one address, and this has no effect.
const SITE_ADDRESSES: u32 = 16;

/// The sizes of the budgets; 0 disables one.
#[derive(Debug, Clone, Copy)]
pub struct BudgetOptions {
    /// Failures of one address: this many at once, and this many each minute.
    pub of_address: u32,
    /// Failures at one account, from all addresses: this many at once, and this many each hour.
    pub of_account: u32,
}

/// The budgets. Clones share them. They are kept in this process: with several replicas each has its own.
#[derive(Clone)]
pub struct Budgets(Arc<Inner>);

struct Inner {
    options: BudgetOptions,
    /// Seeded at random, so that nobody can find out which keys share a slot.
    hasher: RandomState,
    begun: Instant,
    addresses: Buckets,
    sites: Buckets,
    accounts: Buckets,
    pairs: Pairs,
    /// Failures at an account by site: only whether there are any matters.
    pairs_of_sites: Pairs,
    standing: Standing,
}

/// An attempt: its origin, its kind, and the keys of its budgets.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    origin: Origin,
    kind: Kind,
    address: u64,
    site: u64,
    account: u64,
    pair: u64,
    pair_of_site: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SignIn,
    SignUp,
}

/// The refusal because a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The name of the budget.
    pub budget: &'static str,
    /// The number of failures that the full budget allows at once.
    pub limit: u32,
    /// How long the whole budget takes to refill.
    pub window: Duration,
    /// How long until one more attempt is allowed.
    pub retry_after: Duration,
}

impl From<Spent> for Quota {
    fn from(spent: Spent) -> Self {
        Self {
            name: spent.budget,
            limit: spent.limit,
            window: spent.window,
            retry_after: spent.retry_after,
        }
    }
}

/// An attempt whose outcome is not known yet. If it is dropped without an outcome it counts as failed.
#[must_use = "dropped it is a failure"]
pub struct Pending {
    budgets: Budgets,
    attempt: Option<Attempt>,
}

impl Budgets {
    /// Full budgets.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self(Arc::new(Inner {
            options,
            hasher: RandomState::new(),
            begun: Instant::now(),
            addresses: Buckets::new(options.of_address, MINUTE),
            sites: Buckets::new(of_site(&options), MINUTE),
            accounts: Buckets::new(options.of_account, 60 * MINUTE),
            pairs: Pairs::new(),
            pairs_of_sites: Pairs::new(),
            standing: Standing::new(),
        }))
    }

    /// A sign-in from `origin` to the account of `email`, whether it exists or not.
    #[must_use]
    pub fn sign_in(&self, origin: Origin, email: &str) -> Attempt {
        self.attempt(Kind::SignIn, origin, email)
    }

    /// A sign-up. Its only possible failure is an email that is taken, which is charged to the address.
    #[must_use]
    pub fn sign_up(&self, origin: Origin, email: &str) -> Attempt {
        self.attempt(Kind::SignUp, origin, email)
    }

    fn attempt(&self, kind: Kind, origin: Origin, email: &str) -> Attempt {
        // In the form in which emails are compared: ignoring case; they contain only ASCII.
        let email = email.trim().to_ascii_lowercase();
        let hasher = &self.0.hasher;
        Attempt {
            origin,
            kind,
            address: hasher.hash_one(origin),
            site: hasher.hash_one(origin.site()),
            account: hasher.hash_one(&email),
            pair: hasher.hash_one((origin, &email)),
            pair_of_site: hasher.hash_one((origin.site(), &email)),
        }
    }

    /// Checks the budgets. Returns the lane in which this attempt waits for its turn.
    ///
    /// # Errors
    /// [`Spent`]; the refusal itself is not charged.
    pub fn check(&self, attempt: &Attempt) -> Result<Lane, Spent> {
        let inner = &*self.0;
        let now = inner.now_ms();
        let known = inner.standing.has(attempt.pair, now);
        let lane = Lane {
            class: if known { Class::Known } else { Class::Stranger },
            origin: attempt.origin,
            account: attempt.account,
        };
        if attempt.origin == Origin::Ourselves {
            return Ok(lane);
        }
        if attempt.kind == Kind::SignIn {
            let wait = inner.pairs.wait(attempt.pair, now, known);
            spent("account-at-address", FREE_FAILURES, DELAY_MAX, wait)?;
            if !known && inner.options.of_account > 0 {
                let all = inner.options.of_account;
                let kept = match inner.is_clean(attempt, now) {
                    true => 0,
                    false => all / KEPT_FOR_THE_CLEAN,
                };
                let wait = inner.accounts.wait(attempt.account, now, all - kept);
                spent("account", all, inner.accounts.window(), wait)?;
            }
        }
        if !known && inner.options.of_address > 0 {
            let all = inner.options.of_address;
            let wait = inner.addresses.wait(attempt.address, now, all);
            spent("address", all, inner.addresses.window(), wait)?;
            let all = of_site(&inner.options);
            let wait = inner.sites.wait(attempt.site, now, all);
            spent("site", all, inner.sites.window(), wait)?;
        }
        Ok(lane)
    }

    /// Begins an attempt that got its turn. The budgets are checked again, since other attempts may have used them up
    /// in the meantime: a thousand waiting attempts must not be a thousand further guesses.
    ///
    /// # Errors
    /// [`Spent`]; the refusal itself is not charged.
    pub fn begin(&self, attempt: Attempt) -> Result<Pending, Spent> {
        self.check(&attempt)?;
        Ok(Pending {
            budgets: self.clone(),
            attempt: Some(attempt),
        })
    }

    fn failed(&self, attempt: Attempt) {
        let inner = &*self.0;
        if attempt.origin == Origin::Ourselves {
            return;
        }
        let now = inner.now_ms();
        let known = inner.standing.has(attempt.pair, now);
        if attempt.kind == Kind::SignIn {
            inner.pairs.failed(attempt.pair, now);
            inner.pairs_of_sites.failed(attempt.pair_of_site, now);
        }
        if !known {
            inner.addresses.charge(attempt.address, now);
            inner.sites.charge(attempt.site, now);
            if attempt.kind == Kind::SignIn {
                inner.accounts.charge(attempt.account, now);
            }
        }
    }

    fn succeeded(&self, attempt: Attempt) {
        let inner = &*self.0;
        inner.pairs.forget(attempt.pair);
        inner.pairs_of_sites.forget(attempt.pair_of_site);
        inner.standing.give(attempt.pair, inner.now_ms());
    }
}

impl Inner {
    /// Whether nobody at the caller's site has failed at this account lately.
    fn is_clean(&self, attempt: &Attempt, now_ms: u64) -> bool {
        self.pairs.is_clean(attempt.pair, now_ms)
            && self.pairs_of_sites.is_clean(attempt.pair_of_site, now_ms)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Pending {
    /// The password was right, or the account was created.
    pub fn succeeded(mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.budgets.succeeded(attempt);
        }
    }

    /// The attempt failed for a reason that is not the caller's.
    pub fn forgive(mut self) {
        self.attempt = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            self.budgets.failed(attempt);
        }
    }
}

/// The failures that a site's budget allows at once, and each minute.
fn of_site(options: &BudgetOptions) -> u32 {
    options.of_address.saturating_mul(SITE_ADDRESSES)
}

fn spent(
    budget: &'static str,
    limit: u32,
    window: Duration,
    wait: Option<Duration>,
) -> Result<(), Spent> {
    match wait {
        None => Ok(()),
        Some(retry_after) => Err(Spent {
            budget,
            limit,
            window,
            retry_after,
        }),
    }
}

impl std::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budgets")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
