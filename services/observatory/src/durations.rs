//! The durations of the last calls of each edge, for a 99th percentile.

use std::collections::{HashMap, VecDeque};

/// The most edges of one service; beyond it the least recently called one is removed.
const EDGES_MAX: usize = 32;
/// The last calls of an edge.
const CALLS_KEPT: usize = 256;
/// How long a call counts, in microseconds.
const COUNTS_US: u64 = 60_000_000;

/// The last calls, by the observed service that made them and its peer. Each service has separate room, so that invented names
/// of one do not evict calls of another.
#[derive(Default)]
pub(crate) struct Durations(HashMap<&'static str, HashMap<String, VecDeque<Call>>>);

/// A call that has ended, in microseconds.
struct Call {
    at: u64,
    took: u64,
}

impl Durations {
    /// Notes that a call ended at `at` (microseconds since the Unix epoch).
    pub(crate) fn add(&mut self, from: &'static str, to: &str, at: u64, took: u64) {
        let edges = self.0.entry(from).or_default();
        if edges.len() >= EDGES_MAX && !edges.contains_key(to) {
            let latest = |calls: &VecDeque<Call>| calls.back().map_or(0, |call| call.at);
            let idle = edges.iter().min_by_key(|(_, calls)| latest(calls));
            if let Some(idle) = idle.map(|(name, _)| name.clone()) {
                edges.remove(&idle);
            }
        }
        let calls = edges.entry(to.to_owned()).or_default();
        if calls.len() >= CALLS_KEPT {
            calls.pop_front();
        }
        calls.push_back(Call { at, took });
    }

    /// The 99th percentile of the last calls of an edge, in milliseconds; `None` without any in the last minute.
    pub(crate) fn p99_ms(&self, from: &str, to: &str, now: u64) -> Option<f64> {
        let calls = self.0.get(from)?.get(to)?.iter();
        let recent = calls.filter(|call| now.saturating_sub(call.at) <= COUNTS_US);
        let mut took: Vec<u64> = recent.map(|call| call.took).collect();
        took.sort_unstable();
        let at = (took.len() * 99).div_ceil(100).saturating_sub(1);
        took.get(at).map(|us| *us as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_port_makes_up_push_out_no_edge_of_others() {
        let mut durations = Durations::default();
        durations.add("good", "back", 1, 5_000);
        for n in 0..10_000 {
            durations.add("bad", &format!("made up {n}"), 2 + n, 1);
            durations.add("bad", "real", 2 + n, 7_000);
        }
        assert_eq!(durations.p99_ms("good", "back", 20_000), Some(5.0));
        assert_eq!(durations.p99_ms("bad", "real", 20_000), Some(7.0));
        assert_eq!(durations.0["bad"].len(), EDGES_MAX);
        // A new edge finds room, too.
        durations.add("bad", "new", 20_000, 3_000);
        assert_eq!(durations.p99_ms("bad", "new", 20_000), Some(3.0));
    }

    #[test]
    fn calls_of_long_ago_do_not_count() {
        let mut durations = Durations::default();
        durations.add("front", "back", 0, 900_000);
        assert_eq!(durations.p99_ms("front", "back", COUNTS_US), Some(900.0));
        assert_eq!(durations.p99_ms("front", "back", COUNTS_US + 1), None);
        durations.add("front", "back", COUNTS_US + 1, 2_000);
        let p99 = durations.p99_ms("front", "back", COUNTS_US + 1);
        assert_eq!(p99, Some(2.0));
    }
}
