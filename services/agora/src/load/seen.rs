//! The results of the orders: counts, and latencies in histograms of high dynamic range (Gil Tene's HdrHistogram).

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use strum::IntoStaticStr;
use tokio::time::Instant;

/// The longest latency that is distinguished from longer ones, in microseconds: a minute.
const LATENCY_US_MAX: u64 = 60_000_000;
/// The significant digits of a latency: an error of 1 % at most.
const DIGITS: u8 = 2;
/// The most orders that are remembered, to be cancelled afterwards.
const REMEMBERED_MAX: usize = 100_000;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Phase {
    /// Customers sign up.
    #[default]
    Preparing,
    /// Orders are sent.
    Running,
    /// The orders are cancelled.
    GivingBack,
    /// Nothing more will happen.
    Over,
}

/// See the module. Shared by the senders and the readers.
pub(crate) struct Seen(Mutex<Inner>);

struct Inner {
    phase: Phase,
    begun: Option<Instant>,
    ended: Option<Instant>,
    sent: u64,
    accepted: u64,
    given_back: u64,
    errors: BTreeMap<String, u64>,
    accepted_us: Histogram<u64>,
    refused_us: Histogram<u64>,
    remembers: bool,
    /// Orders with the number under which they were sent.
    orders: Vec<(String, usize)>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner {
            phase: Phase::default(),
            begun: None,
            ended: None,
            sent: 0,
            accepted: 0,
            given_back: 0,
            errors: BTreeMap::new(),
            accepted_us: histogram(),
            refused_us: histogram(),
            remembers: false,
            orders: Vec::new(),
        }))
    }

    /// Orders are sent from now on.
    pub(super) fn begin(&self, remembers: bool) {
        let mut inner = self.0.lock();
        inner.phase = Phase::Running;
        inner.begun = Some(Instant::now());
        inner.remembers = remembers;
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let mut inner = self.0.lock();
        inner.phase = phase;
        // All orders are answered: the time from which the rate is computed ends here.
        inner.ended.get_or_insert_with(Instant::now);
    }

    pub(super) fn sent(&self) {
        self.0.lock().sent += 1;
    }

    pub(super) fn accepted(&self, id: String, number: usize, took: Duration) {
        let mut inner = self.0.lock();
        inner.accepted += 1;
        inner.accepted_us.saturating_record(micros(took));
        if inner.remembers && inner.orders.len() < REMEMBERED_MAX {
            inner.orders.push((id, number));
        }
    }

    pub(super) fn failed(&self, kind: &str, took: Duration) {
        let mut inner = self.0.lock();
        inner.refused_us.saturating_record(micros(took));
        inner.count_error(kind);
    }

    /// Counts an order that was due and not sent. It has no latency, which would be the one of a shop that refuses at once.
    pub(super) fn not_sent(&self, kind: &str) {
        self.0.lock().count_error(kind);
    }

    pub(super) fn next_to_give_back(&self) -> Option<(String, usize)> {
        self.0.lock().orders.pop()
    }

    pub(super) fn given_back(&self) {
        self.0.lock().given_back += 1;
    }

    /// Orders that the shop has accepted.
    pub(crate) fn count_accepted(&self) -> u64 {
        self.0.lock().accepted
    }

    /// Whether orders are sent, or soon will be.
    pub(crate) fn is_sending(&self) -> bool {
        matches!(self.0.lock().phase, Phase::Preparing | Phase::Running)
    }

    /// Whether nothing more will happen.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().phase == Phase::Over
    }

    /// All of it as JSON.
    pub(crate) fn json(&self) -> Value {
        let inner = self.0.lock();
        let phase: &'static str = inner.phase.into();
        json!({
            "phase": phase,
            "seconds": inner.seconds(),
            "sent": inner.sent,
            "accepted": inner.accepted,
            "per_second": inner.per_second(),
            "errors": inner.errors,
            "latency_ms": percentiles(&inner.accepted_us),
            "refused_ms": percentiles(&inner.refused_us),
            "given_back": inner.given_back,
        })
    }

    /// The progress, in one line.
    pub(crate) fn line(&self) -> String {
        let inner = self.0.lock();
        let refused: u64 = inner.errors.values().sum();
        format!(
            "{:>4.0} s  {} accepted ({:.0}/s)  {refused} not  p50 {:.1} ms  p99 {:.1} ms",
            inner.seconds(),
            inner.accepted,
            inner.per_second(),
            ms(inner.accepted_us.value_at_quantile(0.5)),
            ms(inner.accepted_us.value_at_quantile(0.99)),
        )
    }
}

impl Inner {
    fn count_error(&mut self, kind: &str) {
        match self.errors.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(kind.to_owned(), 1);
            }
        }
    }

    fn seconds(&self) -> f64 {
        let Some(begun) = self.begun else { return 0.0 };
        let until = self.ended.unwrap_or_else(Instant::now);
        until.saturating_duration_since(begun).as_secs_f64()
    }

    fn per_second(&self) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 {
            self.accepted as f64 / seconds
        } else {
            0.0
        }
    }
}

/// An empty one.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("bounds that fit each other")
}

/// `null` where nothing was measured.
pub(super) fn percentiles(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile| ms(histogram.value_at_quantile(quantile));
    json!({
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": ms(histogram.max()),
    })
}

pub(super) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_by_its_kind() {
        let seen = Seen::new();
        assert_eq!(seen.json()["phase"], "preparing");
        assert_eq!(seen.json()["latency_ms"], Value::Null);
        seen.begin(true);
        for number in 0..100 {
            seen.sent();
            let took = Duration::from_millis(10 * (number as u64 + 1));
            seen.accepted(number.to_string(), number, took);
        }
        for kind in ["503", "timeout", "503"] {
            seen.failed(kind, Duration::from_hours(1));
        }
        for _ in 0..9 {
            seen.not_sent("not_sent");
        }
        let all = seen.json();
        assert_eq!((&all["sent"], &all["accepted"]), (&json!(100), &json!(100)));
        assert_eq!(
            all["errors"],
            json!({"503": 2, "not_sent": 9, "timeout": 1})
        );
        assert!(all["refused_ms"]["p50"].as_f64().unwrap() > 50_000.0);
        let p50 = all["latency_ms"]["p50"].as_f64().unwrap();
        assert!((495.0..=510.0).contains(&p50), "{p50}");
        // A value beyond the bounds counts as the bound.
        assert!(all["refused_ms"]["max"].as_f64().unwrap() <= 61_000.0);
        assert_eq!(seen.next_to_give_back(), Some(("99".to_owned(), 99)));
        seen.enter(Phase::Over);
        assert_eq!(seen.json()["phase"], "over");
    }
}
