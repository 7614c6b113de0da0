//! What has been seen: traces, calls by edge, and whoever looks at new hops.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::domain::hop::{Record, Side, TraceId};
use crate::domain::traces::{Summary, Traces, Wanted, Whole};

/// How many new records wait for a slow reader of them; older ones are dropped and counted.
const NEWS_MAX: usize = 512;
/// The most bytes of a record that is passed on.
const RECORD_BYTES_MAX: usize = 8 * 1024;
/// Edges whose durations are kept.
const EDGES_MAX: usize = 256;
/// The last calls of an edge, for its p99.
const DURATIONS_KEPT: usize = 256;

/// See the module.
pub(crate) struct Sky {
    traces: Mutex<Traces>,
    news: broadcast::Sender<News>,
    durations: Mutex<HashMap<(String, String), VecDeque<u64>>>,
    lost: Mutex<u64>,
    /// The admin ports whose hops are being followed.
    followed: Mutex<HashSet<SocketAddr>>,
}

/// A new record, as it came.
#[derive(Clone)]
pub(crate) struct News {
    pub(crate) event: &'static str,
    pub(crate) trace: Option<TraceId>,
    pub(crate) data: Arc<str>,
}

impl Sky {
    pub(crate) fn new(traces_bytes_max: usize) -> Self {
        Self {
            traces: Mutex::new(Traces::new(traces_bytes_max)),
            news: broadcast::Sender::new(NEWS_MAX),
            durations: Mutex::default(),
            lost: Mutex::default(),
            followed: Mutex::default(),
        }
    }

    /// Takes what an admin port sent.
    pub(crate) fn see(&self, value: &Value) {
        let Some(record) = Record::read(value, now()) else {
            self.see_event(value);
            return;
        };
        self.tell("hop", Some(record.trace), value);
        let hop = &record.hop;
        if let (Side::Client, Some(took), Some(to)) = (hop.side, hop.duration_us, &hop.to) {
            self.took(&hop.service, to, took);
        }
        self.traces.lock().add(record);
    }

    /// What is no hop: told apart by what it has.
    fn see_event(&self, value: &Value) {
        let has = |name: &str| value.get(name).is_some();
        if let (Some(count), None) = (value.get("count").and_then(Value::as_u64), value.get("at")) {
            let mut lost = self.lost.lock();
            *lost = lost.saturating_add(count);
        } else if has("rules") {
            self.tell("fault", None, value);
        } else if has("breaker") {
            self.tell("breaker", None, value);
        } else if has("what") {
            self.tell("dead_letter", None, value);
        }
    }

    fn tell(&self, event: &'static str, trace: Option<TraceId>, value: &Value) {
        if self.news.receiver_count() == 0 {
            return;
        }
        let data = value.to_string();
        if data.len() <= RECORD_BYTES_MAX {
            let data = data.into();
            // Whoever left in the meantime misses nothing.
            let _ = self.news.send(News { event, trace, data });
        }
    }

    fn took(&self, from: &str, to: &str, us: u64) {
        let mut edges = self.durations.lock();
        let key = (from.to_owned(), to.to_owned());
        if edges.len() >= EDGES_MAX && !edges.contains_key(&key) {
            return;
        }
        let last = edges.entry(key).or_default();
        if last.len() >= DURATIONS_KEPT {
            last.pop_front();
        }
        last.push_back(us);
    }

    /// The 99th percentile of the last calls of an edge, in milliseconds; `None` without any.
    pub(crate) fn p99_ms(&self, from: &str, to: &str) -> Option<f64> {
        let edges = self.durations.lock();
        let mut last: Vec<u64> = edges
            .get(&(from.to_owned(), to.to_owned()))?
            .iter()
            .copied()
            .collect();
        last.sort_unstable();
        let at = (last.len() * 99).div_ceil(100).saturating_sub(1);
        last.get(at).map(|us| *us as f64 / 1e3)
    }

    /// Notes that the hops of an admin port are followed, until the guard is dropped.
    pub(crate) fn following(&self, at: SocketAddr) -> impl Drop + use<'_> {
        self.followed.lock().insert(at);
        Following { sky: self, at }
    }

    /// Whether the hops of an admin port are followed now.
    pub(crate) fn is_followed(&self, at: SocketAddr) -> bool {
        self.followed.lock().contains(&at)
    }

    /// New records, from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    pub(crate) fn list(&self, wanted: &Wanted<'_>) -> Vec<Summary> {
        self.traces.lock().list(wanted)
    }

    pub(crate) fn whole(&self, id: TraceId) -> Option<Whole> {
        self.traces.lock().whole(id)
    }

    /// Records that were dropped anywhere.
    pub(crate) fn dropped(&self) -> u64 {
        self.traces
            .lock()
            .dropped()
            .saturating_add(*self.lost.lock())
    }
}

struct Following<'a> {
    sky: &'a Sky,
    at: SocketAddr,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.sky.followed.lock().remove(&self.at);
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
