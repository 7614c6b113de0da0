//! The load generator: places orders at a pace, and records their results.
//!
//! An *open* loop sends each order when it is due, whether or not the shop has answered earlier ones, like customers who do not
//! know of each other. Latencies are measured from the time when the order was due, so that delays of the shop are not omitted
//! (coordinated omission). A *closed* loop has a number of callers that each wait for their answer: it finds the maximum
//! throughput.
//!
//! Limits: a run ends by itself, and an open loop has at most [`IN_FLIGHT_MAX`] calls in flight; orders beyond are counted as not
//! sent.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use chassis::Shutdown;
use client::Address;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::buyers::{Buyers, Cancel};
use super::flows::Flows;
use super::seen::{Phase, Seen};
use crate::failure::Failure;

/// The most calls in flight of an open loop.
const IN_FLIGHT_MAX: usize = 2_000;
/// The longest run.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(600);
/// The most orders a second of an open loop, and the most callers of a closed one.
pub(crate) const PACE_MAX: u32 = 10_000;
/// The concurrent calls that cancel orders.
const GIVING_BACK: usize = 8;
/// The least number of attempts to cancel an order, since a shop under load may refuse the first ones.
const TRIES: u32 = 5;
/// How long further attempts are made, for all orders together: long enough for breakers to close and services to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between attempts.
const WAIT: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(4);
/// The kind of failure of orders that were due but not sent.
const NOT_SENT: &str = "not_sent";

/// How orders are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many a second.
    Open(NonZeroU32),
    /// So many callers, each one after the other.
    Closed(NonZeroU32),
}

/// The plan of a run.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The gateway.
    pub(crate) shop: Address,
    pub(crate) pace: Pace,
    /// For how long orders are sent.
    pub(crate) time: Duration,
    /// Whether the orders are cancelled afterwards, so that their products are for sale again.
    pub(crate) give_back: bool,
    /// Records the end-to-end latencies of some orders, if requested.
    pub(crate) flows: Option<Arc<Flows>>,
}

/// The buyers, whose orders [`give_back`] cancels.
pub(crate) struct Bought(Option<Arc<Buyers>>);

/// Runs until all orders are answered, or until `stop`; the results are in `seen`.
///
/// # Errors
/// If the sign-up fails, or there is nothing to buy.
pub(crate) async fn run(plan: Plan, seen: Arc<Seen>, stop: Shutdown) -> Result<Bought, Failure> {
    match sign_up(&plan.shop, &seen, &stop).await? {
        Some(buyers) => Ok(send(plan, buyers, &seen, &stop).await),
        None => Ok(Bought(None)),
    }
}

/// The first half: signs the buyers up, unless `stop` comes first. Hashing their passwords is not part of an order's cost.
///
/// # Errors
/// As [`run`].
pub(crate) async fn sign_up(
    shop: &Address,
    seen: &Seen,
    stop: &Shutdown,
) -> Result<Option<Arc<Buyers>>, Failure> {
    tokio::select! {
        buyers = Buyers::sign_up(shop) => Ok(Some(Arc::new(buyers?))),
        () = stop.cancelled() => {
            seen.enter(Phase::Over);
            Ok(None)
        }
    }
}

/// The second half: their orders.
pub(crate) async fn send(
    plan: Plan,
    buyers: Arc<Buyers>,
    seen: &Arc<Seen>,
    stop: &Shutdown,
) -> Bought {
    let time = plan.time.min(TIME_MAX);
    seen.begin(plan.give_back);
    let sender = Sender {
        buyers: Arc::clone(&buyers),
        seen: Arc::clone(seen),
        flows: plan.flows,
    };
    match plan.pace {
        Pace::Open(rate) => at_rate(rate, time, &sender, stop).await,
        Pace::Closed(callers) => by_callers(callers, time, &sender, stop).await,
    }
    seen.enter(match plan.give_back {
        true => Phase::GivingBack,
        false => Phase::Over,
    });
    Bought(Some(buyers))
}

/// Sends orders one after another, and records the results.
#[derive(Clone)]
struct Sender {
    buyers: Arc<Buyers>,
    seen: Arc<Seen>,
    flows: Option<Arc<Flows>>,
}

impl Sender {
    async fn order(&self, number: usize, due: Instant) {
        self.seen.sent();
        match self.buyers.order(number).await {
            Ok(id) => {
                if let Some(flows) = &self.flows {
                    flows.follow(&self.buyers, number, &id, due);
                }
                self.seen.accepted(id, number, due.elapsed());
            }
            Err(kind) => self.seen.failed(&kind, due.elapsed()),
        }
    }
}

async fn at_rate(rate: NonZeroU32, time: Duration, sender: &Sender, stop: &Shutdown) {
    let begun = Instant::now();
    let end = begun + time;
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut calls = JoinSet::new();
    for number in 0_u32.. {
        let due = begun + Duration::from_secs(1) * number / rate.get();
        if due >= end {
            break;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(due) => {}
        }
        // Removes the results of tasks that have ended.
        while calls.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            sender.seen.not_sent(NOT_SENT);
            continue;
        };
        let sender = sender.clone();
        calls.spawn(async move {
            sender.order(number as usize, due).await;
            drop(place);
        });
    }
    while calls.join_next().await.is_some() {}
}

async fn by_callers(callers: NonZeroU32, time: Duration, sender: &Sender, stop: &Shutdown) {
    let end = Instant::now() + time;
    let mut all = JoinSet::new();
    for caller in 0..callers.get() as usize {
        let (sender, stop) = (sender.clone(), stop.clone());
        all.spawn(async move {
            while Instant::now() < end && !stop.is_triggered() {
                sender.order(caller, Instant::now()).await;
            }
        });
    }
    while all.join_next().await.is_some() {}
}

/// Cancels the orders that were to be given back.
pub(crate) async fn give_back(bought: Bought, seen: &Arc<Seen>) {
    let patient_until = Instant::now() + PATIENCE;
    let mut calls = JoinSet::new();
    while let (Some(buyers), Some((id, number))) = (&bought.0, seen.next_to_give_back()) {
        if calls.len() >= GIVING_BACK {
            calls.join_next().await;
        }
        let (buyers, seen) = (Arc::clone(buyers), Arc::clone(seen));
        calls.spawn(async move {
            if bring_back(&buyers, number, &id, patient_until).await {
                seen.given_back();
            }
        });
    }
    while calls.join_next().await.is_some() {}
    seen.enter(Phase::Over);
}

async fn bring_back(buyers: &Buyers, number: usize, id: &str, patient_until: Instant) -> bool {
    let mut backoff = Backoff::new(WAIT, WAIT_MAX);
    let mut tries = 0;
    loop {
        match buyers.cancel(number, id).await {
            Cancel::Done => return true,
            Cancel::Never => return false,
            Cancel::NotNow => tries += 1,
        }
        if tries >= TRIES && Instant::now() >= patient_until {
            return false;
        }
        sleep(backoff.next_equal()).await;
    }
}
