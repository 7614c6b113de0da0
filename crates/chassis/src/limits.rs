//! Limits that HTTP and gRPC doors share: how long a request may take, and how many may be in progress at once.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use resilience::deadline::Deadline;
use resilience::load_shed::{Config, LoadShed, Overloaded, Permit};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::arrival::{Absent, Arrivals};

/// See [`Limits::timeout`]. Longer than the limit of any single step (a statement of the database, the arrival of a
/// body), so that the step's own, more specific error is reported first.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The limits of a door; [`crate::config::Server`] reads them from flags and environment. The doors of one process
/// share clones, and thereby one count of the requests in progress.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest time until a request's answer begins. A caller can ask for less (`x-request-timeout-ms` over HTTP,
    /// `grpc-timeout` over gRPC), never for more: no caller can make this service hold resources for an hour.
    pub timeout: Duration,
    /// How many requests may be in progress, counted from their complete arrival until their answers begin. A sender
    /// that does not send holds no place ([`crate::arrival`]). Streams that have begun do not hold one either: most of
    /// the time they wait for their readers, and would keep other requests out; nor does a request while it waits
    /// [`outside`]. `None` for no limit, for doors that
    /// must answer even under overload.
    pub load: Option<LoadShed>,
    /// The bodies that are arriving.
    pub arrivals: Arrivals,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            // The default configuration is valid, as its tests check.
            load: LoadShed::new(Config::default()).ok(),
            arrivals: Arrivals::default(),
        }
    }
}

/// Why a door did not process a request. These are answers to the client, not errors of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The deadline passed; the work was dropped, or not begun.
    Late,
    /// The service is overloaded; the work was not begun.
    Overloaded(Overloaded),
    /// The request did not arrive in time, so that there was nothing to process.
    Stalled,
}

/// The retry delay if too many bodies are arriving.
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
    /// Limits without load shedding, for the admin port, which must answer even under overload.
    pub(crate) fn without_shedding() -> Self {
        Self {
            timeout: TIMEOUT,
            load: None,
            arrivals: Arrivals::default(),
        }
    }

    /// Removes the load limit if `exempt` is true.
    pub(crate) fn exempt(mut self, exempt: bool) -> Self {
        self.load = self.load.filter(|_| !exempt);
        self
    }

    /// Runs the work of a request that has just arrived, if the limits allow it. `asked` is the time that its caller
    /// waits. Calls made by the work see the remaining time ([`Deadline::current`]); when it is over the work is
    /// dropped. The wait for a place is part of that time.
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
            let Some(load) = &self.load else {
                return Ok(work.await);
            };
            let place = Place {
                taken: RefCell::new(Some(
                    enter(load, service).await.map_err(Refusal::Overloaded)?,
                )),
                load: load.clone(),
                service,
            };
            Ok(PLACE.scope(place, work).await)
        };
        timeout_at(deadline.instant(), deadline.scope(placed))
            .await
            .unwrap_or(Err(Refusal::Late))
    }
}

/// The most requests that wait [`outside`]; one more keeps its place while it waits. Each is a head, and a body that is
/// counted by [`crate::arrival`].
pub const OUTSIDE_MAX: usize = 4_096;
static OUTSIDE: Semaphore = Semaphore::const_new(OUTSIDE_MAX);

tokio::task_local! {
    /// The place of the request that is being processed.
    static PLACE: Place;
}

/// The place of a request among those in progress, which it may give back for a while.
struct Place {
    taken: RefCell<Option<Permit>>,
    load: LoadShed,
    service: &'static str,
}

/// Waits for something that is no work without a place among the requests in progress: others are served meanwhile. What is
/// ready at once keeps its place, and so does whatever runs outside of `Limits::run`.
///
/// # Errors
/// If there is no place for it when the wait is over.
pub async fn outside<F: Future>(wait: F) -> Result<F::Output, Overloaded> {
    let mut wait = pin!(wait);
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await {
        return Ok(output);
    }
    let Ok(_waits) = OUTSIDE.try_acquire() else {
        return Ok(wait.await);
    };
    let given_back = PLACE.try_with(|place| {
        let taken = place.taken.take();
        taken.map(|_free| (place.load.clone(), place.service))
    });
    let output = wait.await;
    if let Ok(Some((load, service))) = given_back {
        let again = enter(&load, service).await?;
        PLACE.with(|place| *place.taken.borrow_mut() = Some(again));
    }
    Ok(output)
}

/// Takes a place among the requests in progress. The common case, a free place, touches no metric.
async fn enter(load: &LoadShed, service: &'static str) -> Result<Permit, Overloaded> {
    if let Some(place) = load.try_acquire() {
        return Ok(place);
    }
    let _waiting = Waiting::begin(service);
    load.acquire().await.inspect_err(|_| {
        metrics::counter!("resilience_shed_total", "service" => service).increment(1);
    })
}

/// Counted while it lives, so that a caller that leaves while it waits does not stay in the count.
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
