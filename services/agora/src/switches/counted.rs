//! The number of hits of a switch, read from the metrics of this process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The position of a switch, and its hits since it was turned off.
#[derive(Debug)]
pub(super) struct Position {
    on: AtomicBool,
    /// The count when it was turned off.
    before: AtomicU64,
    /// The hits at the last count.
    hit: AtomicU64,
}

impl Position {
    /// On.
    pub(super) fn new() -> Self {
        Self {
            on: AtomicBool::new(true),
            before: AtomicU64::new(0),
            hit: AtomicU64::new(0),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Turns it off; `count` is the present value of the metric of its hits.
    pub(super) fn off(&self, count: u64) {
        self.before.store(count, Ordering::Relaxed);
        self.hit.store(0, Ordering::Relaxed);
        self.on.store(false, Ordering::Relaxed);
    }

    /// Turns it on; `count` is the final value of that metric.
    pub(super) fn on(&self, count: u64) {
        self.count(count);
        self.on.store(true, Ordering::Relaxed);
    }

    /// Updates the hits, if it is off.
    pub(super) fn count(&self, count: u64) {
        if !self.is_on() {
            let hit = count.saturating_sub(self.before.load(Ordering::Relaxed));
            self.hit.store(hit, Ordering::Relaxed);
        }
    }

    /// Its position and its hits.
    pub(super) fn state(&self) -> chassis::admin::SwitchState {
        chassis::admin::SwitchState {
            on: self.is_on(),
            hit: self.hit.load(Ordering::Relaxed),
        }
    }
}

/// The sum of a counter over all series that have one of these labels, or over all if there are none.
pub(super) fn metric(name: &str, labels: &[String]) -> u64 {
    sum(&chassis::metrics::render(), name, labels)
}

fn sum(text: &str, name: &str, labels: &[String]) -> u64 {
    let of = text.lines().filter_map(|line| line.strip_prefix(name));
    let samples = of.filter_map(|rest| {
        let (series, value) = rest.rsplit_once(' ')?;
        // The name of another metric may have this one as its prefix.
        let is_it = series.is_empty() || series.starts_with('{');
        let is_wanted =
            labels.is_empty() || labels.iter().any(|label| series.contains(label.as_str()));
        (is_it && is_wanted).then(|| value.parse().ok())?
    });
    samples.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_the_wanted_series() {
        let text = "# TYPE sent counter\nsent{to=\"a\"} 3\nsent{to=\"b\",by=\"x\"} 4\nsent_late{to=\"a\"} 9\nplain 2\n";
        assert_eq!(sum(text, "sent", &[]), 7);
        assert_eq!(sum(text, "sent", &["to=\"b\"".to_owned()]), 4);
        assert_eq!(sum(text, "plain", &[]), 2);
        assert_eq!(sum(text, "absent", &[]), 0);
    }

    #[test]
    fn hits_count_from_the_moment_it_was_turned_off() {
        let position = Position::new();
        position.count(5);
        assert_eq!(position.state().hit, 0, "nothing is broken");
        position.off(5);
        position.count(9);
        assert_eq!((position.is_on(), position.state().hit), (false, 4));
        position.on(11);
        position.count(50);
        assert_eq!((position.is_on(), position.state().hit), (true, 6));
    }
}
