//! One trace: its hops, within bounds, and the forms in which it is shown.

use serde::Serialize;

use super::causality;
use super::hop::{Hop, HopId, Side, TraceId};

/// The most hops of one trace; further ones are dropped and counted.
pub(super) const HOPS_MAX: usize = 512;
/// Room for so many more hops is made at a time: doubling it would leave up to half of it empty.
const HOPS_MORE: usize = 8;
/// The approximate size of a trace without its hops, in bytes: half of that room is empty as a rule.
pub(super) const TRACE_BYTES: usize = 256 + HOPS_MORE / 2 * size_of::<Hop>();

/// One trace.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hops: Vec<Hop>,
    dropped: u64,
    bytes: usize,
}

/// A trace in a list.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(super) trace_id: String,
    name: String,
    started_at: u64,
    ended_at: Option<u64>,
    duration_us: u64,
    pub(super) hops: usize,
    pub(super) outcome: &'static str,
    services: Vec<String>,
}

/// A whole trace, in an order that causality allows.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    pub(crate) trace_id: String,
    pub(crate) name: String,
    pub(crate) started_at: u64,
    pub(crate) dropped: u64,
    pub(crate) hops: Vec<Hop>,
}

impl Trace {
    /// The approximate size of its hops, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of hops.
    pub(super) fn len(&self) -> usize {
        self.hops.len()
    }

    /// Adds a hop, or what is new of one that it has. Returns whether there was room.
    pub(super) fn add(&mut self, hop: Hop) -> bool {
        let known = self.index(hop.id, hop.side);
        if let Some(at) = known {
            let known = &mut self.hops[at];
            self.bytes -= known.bytes();
            known.merge(hop);
            self.bytes += known.bytes();
            return true;
        }
        if self.hops.len() >= HOPS_MAX {
            self.dropped += 1;
            return false;
        }
        self.bytes += hop.bytes();
        if self.hops.len() == self.hops.capacity() {
            self.hops.reserve_exact(HOPS_MORE);
        }
        self.hops.push(hop);
        true
    }

    /// From the end: what comes is mostly about the newest.
    fn index(&self, id: HopId, side: Side) -> Option<usize> {
        self.hops
            .iter()
            .rposition(|hop| hop.id == id && hop.side == side)
    }

    /// Whether a hop has this text as a detail.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let mut details = self.hops.iter().flat_map(|hop| hop.detail.values());
        details.any(|value| value == text)
    }

    /// All of it.
    pub(super) fn whole(&self, id: TraceId) -> Whole {
        let hops = causality::ordered(&self.hops);
        Whole {
            trace_id: hex(id),
            name: name(&hops),
            started_at: hops.first().map_or(0, |hop| hop.started_at),
            dropped: self.dropped,
            hops,
        }
    }

    /// Itself in a list of traces.
    pub(super) fn summary(&self, id: TraceId) -> Summary {
        let hops = causality::ordered(&self.hops);
        let started_at = hops.first().map_or(0, |hop| hop.started_at);
        let latest = hops
            .iter()
            .map(|hop| hop.ended_at.unwrap_or(hop.started_at));
        let latest = latest.max().unwrap_or(started_at);
        let mut services = Vec::new();
        for hop in &hops {
            if !services.contains(&hop.service) {
                services.push(hop.service.clone());
            }
        }
        Summary {
            trace_id: hex(id),
            name: name(&hops),
            started_at,
            ended_at: hops.iter().all(Hop::has_ended).then_some(latest),
            duration_us: latest.saturating_sub(started_at),
            hops: hops.len(),
            outcome: if hops.iter().any(Hop::is_bad) {
                "error"
            } else {
                "ok"
            },
            services,
        }
    }
}

fn name(hops: &[Hop]) -> String {
    hops.first().map(|hop| hop.name.clone()).unwrap_or_default()
}

fn hex(id: TraceId) -> String {
    format!("{id:032x}")
}
