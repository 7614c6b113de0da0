//! The last traces, in bounded memory.

use std::collections::{HashMap, VecDeque};

use super::hop::{Record, TraceId};
use super::trace::{Summary, TRACE_BYTES, Trace, Whole};

/// How long a trace is protected from eviction after it was requested, in microseconds.
const SPARED_US: u64 = 60_000_000;
/// The most protected traces, and the most requests that are remembered. They take at most half of all bytes.
const SPARED_MAX: usize = 32;

/// The last traces. When they take too many bytes, the oldest are evicted; those requested within the last minute go last.
#[derive(Debug)]
pub(crate) struct Traces {
    traces: HashMap<TraceId, Trace>,
    /// By arrival, the oldest first.
    order: VecDeque<TraceId>,
    /// Traces that would be evicted but are protected, the oldest first.
    spared: VecDeque<TraceId>,
    /// The requested traces with the time (microseconds since the Unix epoch), the latest last.
    asked: VecDeque<(TraceId, u64)>,
    bytes: usize,
    bytes_max: usize,
    /// Hops and traces that were dropped to stay within bounds.
    dropped: u64,
}

/// The filter of a list of traces.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) limit: usize,
    /// With at least so many hops.
    pub(crate) min_hops: usize,
    /// With a hop that has this text as a detail.
    pub(crate) mentions: Option<&'a str>,
}

impl Traces {
    /// An empty store of about `bytes_max` bytes at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            traces: HashMap::new(),
            order: VecDeque::new(),
            spared: VecDeque::new(),
            asked: VecDeque::new(),
            bytes: 0,
            bytes_max,
            dropped: 0,
        }
    }

    /// Adds a record that arrived at `now`.
    pub(crate) fn add(&mut self, record: Record, now: u64) {
        let id = record.trace;
        if !self.traces.contains_key(&id) {
            self.order.push_back(id);
            self.bytes += TRACE_BYTES;
        }
        let trace = self.traces.entry(id).or_default();
        let before = trace.bytes();
        if !trace.add(record.hop) {
            self.dropped += 1;
        }
        self.bytes = self.bytes + trace.bytes() - before;
        if self.bytes > self.bytes_max {
            self.make_room(now);
        }
    }

    /// Notes that a trace was requested, whether or not it is known yet.
    pub(crate) fn ask_for(&mut self, id: TraceId, now: u64) {
        self.asked.retain(|(other, _)| *other != id);
        if self.asked.len() >= SPARED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((id, now));
    }

    fn is_asked_for(&self, id: TraceId, now: u64) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|(of, at)| *of == id && now.saturating_sub(*at) <= SPARED_US)
    }

    fn make_room(&mut self, now: u64) {
        self.spare_fewer(now);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            if self.is_asked_for(oldest, now) {
                self.spared.push_back(oldest);
                self.spare_fewer(now);
            } else {
                self.remove(oldest);
            }
        }
    }

    /// Evicts traces whose protection has expired, and the oldest ones while the rest takes too much.
    fn spare_fewer(&mut self, now: u64) {
        for id in std::mem::take(&mut self.spared) {
            if self.is_asked_for(id, now) {
                self.spared.push_back(id);
            } else {
                self.remove(id);
            }
        }
        while self.spared_bytes() > self.bytes_max / 2
            && let Some(oldest) = self.spared.pop_front()
        {
            self.remove(oldest);
        }
    }

    fn spared_bytes(&self) -> usize {
        let spared = self.spared.iter().filter_map(|id| self.traces.get(id));
        spared.map(|trace| trace.bytes() + TRACE_BYTES).sum()
    }

    fn remove(&mut self, id: TraceId) {
        if let Some(trace) = self.traces.remove(&id) {
            self.bytes -= trace.bytes() + TRACE_BYTES;
            self.dropped += 1;
        }
        // Maps keep their capacity, which is returned after a flood of tiny traces.
        if self.traces.capacity() > 4 * self.traces.len().max(256) {
            self.traces.shrink_to(2 * self.traces.len());
            self.order.shrink_to(2 * self.order.len());
        }
    }

    /// The approximate size of all traces, in bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of evicted traces, and of dropped hops of traces that were too long.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The newest first.
    pub(crate) fn list(&self, wanted: &Wanted<'_>) -> Vec<Summary> {
        let newest = self.order.iter().rev().chain(self.spared.iter().rev());
        let traces = newest.filter_map(|id| Some((*id, self.traces.get(id)?)));
        traces
            .filter(|(_, trace)| trace.len() >= wanted.min_hops)
            .filter(|(_, trace)| wanted.mentions.is_none_or(|text| trace.mentions(text)))
            .take(wanted.limit)
            .map(|(id, trace)| trace.summary(id))
            .collect()
    }

    /// One of them.
    pub(crate) fn whole(&self, id: TraceId) -> Option<Whole> {
        Some(self.traces.get(&id)?.whole(id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hop::tests::{NOW, ended, raw};
    use super::super::trace::HOPS_MAX;
    use super::*;

    fn add(traces: &mut Traces, record: &serde_json::Value) {
        traces.add(Record::read(record, NOW).unwrap(), NOW);
    }

    #[test]
    fn a_hop_is_one_whatever_is_said_of_it_how_often() {
        let mut traces = Traces::new(1 << 20);
        let start = raw(7, 1, 0, "server", "a", NOW - 1000);
        let end = ended(start.clone(), 400);
        for record in [&start, &start, &end, &end, &start] {
            add(&mut traces, record);
        }
        let whole = traces.whole(7).unwrap();
        assert_eq!(whole.hops.len(), 1);
        assert_eq!(whole.hops[0].duration_us, Some(400));
        assert_eq!(whole.hops[0].ended_at, Some(NOW - 600));
        assert_eq!(whole.hops[0].outcome.as_deref(), Some("ok"));
        let list = traces.list(&Wanted {
            limit: 9,
            ..Wanted::default()
        });
        assert_eq!((list.len(), list[0].hops, list[0].outcome), (1, 1, "ok"));
    }

    #[test]
    fn a_million_traces_stay_within_the_bound() {
        let bound = 1 << 20;
        let mut traces = Traces::new(bound);
        let template = Record::read(raw(1, 1, 0, "server", "a", NOW), NOW).unwrap();
        for id in 1..=1_000_000_u128 {
            let hop = template.hop.clone();
            traces.add(Record { trace: id, hop }, NOW);
            assert!(traces.bytes() <= bound);
        }
        assert!(traces.whole(1_000_000).is_some() && traces.whole(1).is_none());
        assert_eq!(traces.traces.len(), traces.order.len());
        assert_eq!(traces.dropped() + traces.traces.len() as u64, 1_000_000);
    }

    /// Adds traces of these ids at a time.
    fn flood(traces: &mut Traces, ids: std::ops::Range<u128>, now: u64) {
        let template = Record::read(raw(1, 1, 0, "server", "a", NOW), NOW).unwrap();
        for trace in ids {
            let hop = template.hop.clone();
            traces.add(Record { trace, hop }, now);
            assert!(traces.bytes() <= traces.bytes_max);
        }
    }

    #[test]
    fn a_trace_that_somebody_looks_at_stays_for_a_minute() {
        let mut traces = Traces::new(1 << 18);
        flood(&mut traces, 1..3, NOW);
        traces.ask_for(1, NOW);
        flood(&mut traces, 10..10_000, NOW + SPARED_US);
        assert!(traces.whole(1).is_some() && traces.whole(2).is_none());
        let all = traces.list(&Wanted {
            limit: usize::MAX,
            ..Wanted::default()
        });
        assert_eq!(all.last().unwrap().trace_id, format!("{:032x}", 1));
        flood(&mut traces, 10_000..10_002, NOW + SPARED_US + 1);
        assert!(traces.whole(1).is_none());
        assert_eq!(traces.traces.len(), traces.order.len());
    }

    #[test]
    fn what_is_asked_for_takes_no_more_than_half() {
        let mut traces = Traces::new(1 << 18);
        // Few of the long ones fit.
        for trace in 1..=20_u128 {
            traces.ask_for(trace, NOW);
            for id in 1..200 {
                add(&mut traces, &raw(trace, id, 0, "server", "a", NOW));
            }
        }
        flood(&mut traces, 1_000..11_000, NOW);
        assert!(traces.spared_bytes() <= traces.bytes_max / 2);
        assert!(traces.order.len() > 10, "there is room for new ones");
        for id in 0..10_000 {
            traces.ask_for(id, NOW);
        }
        assert_eq!(traces.asked.len(), SPARED_MAX);
    }

    #[test]
    fn a_trace_without_end_stays_within_the_bound() {
        let mut traces = Traces::new(1 << 20);
        for id in 1..10_000 {
            add(&mut traces, &raw(7, id, id - 1, "server", "a", NOW));
        }
        let whole = traces.whole(7).unwrap();
        assert_eq!(
            (whole.hops.len(), whole.dropped),
            (HOPS_MAX, 9_999 - HOPS_MAX as u64)
        );
    }

    #[test]
    fn a_trace_is_found_by_what_it_mentions() {
        let mut traces = Traces::new(1 << 20);
        let mut record = raw(7, 1, 0, "producer", "a", NOW);
        record["detail"] = serde_json::json!({"ce_subject": "thing-1"});
        add(&mut traces, &record);
        add(&mut traces, &raw(8, 1, 0, "server", "a", NOW));
        let of = |text| {
            traces
                .list(&Wanted {
                    limit: 9,
                    mentions: Some(text),
                    ..Wanted::default()
                })
                .len()
        };
        assert_eq!((of("thing-1"), of("thing-2")), (1, 0));
    }
}
