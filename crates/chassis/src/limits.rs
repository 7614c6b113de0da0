//! What every door has in common, whether it speaks HTTP or gRPC: how long a request may take, and how many
//! there may be at once.

use std::future::Future;
use std::time::Duration;

use resilience::deadline::Deadline;
use resilience::load_shed::{Config, LoadShed, Overloaded, Permit};
use tokio::time::timeout_at;

use crate::arrival::{Absent, Arrivals};

/// See [`Limits::timeout`]. Longer than what any one step has, a statement of the database or the
/// arrival of a body, so that the step's own error comes first, which says more.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The bounds of a door; [`crate::config::Server`] reads them from flags and environment. Doors that share
/// one process share its clones, and with them one count of the requests in progress.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest that a request may take until its answer begins. A caller can ask for less
    /// (`x-request-timeout-ms` over HTTP, `grpc-timeout` over gRPC), never for more: whoever it is, it cannot
    /// make this service hold on to something for an hour.
    pub timeout: Duration,
    /// How many requests may be in progress, from when they are there as a whole until their answers begin: a sender
    /// that does not send holds no place ([`crate::arrival`]), and streams that have begun wait for their readers most of the time, and would keep everybody else out. None: any
    /// number, for doors that must answer above all when there is too much to do.
    pub load: Option<LoadShed>,
    /// The bodies that are on their way.
    pub arrivals: Arrivals,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            // Its default configuration is valid, as its own tests say.
            load: LoadShed::new(Config::default()).ok(),
            arrivals: Arrivals::default(),
        }
    }
}

/// Why a door did not do the work of a request. Both are answers, not errors of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The deadline passed; the work was dropped, or not begun.
    Late,
    /// There is too much to do; the work was not begun.
    Overloaded(Overloaded),
    /// The request did not arrive in time; there was nothing to work with.
    Stalled,
}

/// When to come again if too many bodies are on their way.
const CROWDED_RETRY: Duration = Duration::from_secs(1);

impl From<Absent> for Refusal {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Stalled => Self::Stalled,
            Absent::Crowded => Self::Overloaded(Overloaded {
                retry_after: CROWDED_RETRY,
            }),
        }
    }
}

impl Limits {
    /// The door that must answer above all when there is too much to do: the admin port's.
    pub(crate) fn without_shedding() -> Self {
        Self {
            timeout: TIMEOUT,
            load: None,
            arrivals: Arrivals::default(),
        }
    }

    /// Never refuses for the load, whatever it is.
    pub(crate) fn exempt(mut self, exempt: bool) -> Self {
        self.load = self.load.filter(|_| !exempt);
        self
    }

    /// Does the work of a request that arrives now, from a caller who waits as long as it says (`asked`),
    /// if it does. The calls that the work makes see what is left of the time ([`Deadline::current`]); at
    /// the end of it the work is dropped. The wait for a place is part of that time.
    pub(crate) async fn run<F: Future>(
        &self,
        service: &'static str,
        asked: Option<Duration>,
        work: F,
    ) -> Result<F::Output, Refusal> {
        let time = asked.map_or(self.timeout, |asked| asked.min(self.timeout));
        if time.is_zero() {
            return Err(Refusal::Late);
        }
        let deadline = Deadline::after(time);
        let placed = async {
            let _place = match &self.load {
                Some(load) => Some(enter(load, service).await?),
                None => None,
            };
            Ok(work.await)
        };
        timeout_at(deadline.instant(), deadline.scope(placed))
            .await
            .unwrap_or(Err(Refusal::Late))
    }
}

/// A place among the requests in progress. The common case, a free one, touches no metric.
async fn enter(load: &LoadShed, service: &'static str) -> Result<Permit, Refusal> {
    if let Some(place) = load.try_acquire() {
        return Ok(place);
    }
    let _waiting = Waiting::begin(service);
    load.acquire().await.map_err(|overloaded| {
        metrics::counter!("resilience_shed_total", "service" => service).increment(1);
        Refusal::Overloaded(overloaded)
    })
}

/// Counted while it lives: one who leaves while it waits is not counted for ever.
struct Waiting(&'static str);

impl Waiting {
    fn begin(service: &'static str) -> Self {
        metrics::gauge!("resilience_shed_waiting", "service" => service).increment(1.0);
        Self(service)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("resilience_shed_waiting", "service" => self.0).decrement(1.0);
    }
}
