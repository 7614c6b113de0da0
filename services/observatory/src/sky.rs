//! The shared state: traces, calls by edge, and the subscribers of new hops.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::domain::hop::{Record, Side, TraceId};
use crate::domain::trace::{Summary, Whole};
use crate::domain::traces::{Traces, Wanted};
use crate::durations::Durations;

/// The most new records that wait for a slow subscriber; older ones are dropped and counted.
const NEWS_MAX: usize = 512;
/// The most bytes of a record that is passed on.
const RECORD_BYTES_MAX: usize = 8 * 1024;

/// See the module.
pub(crate) struct Sky {
    traces: Mutex<Traces>,
    news: broadcast::Sender<News>,
    durations: Mutex<Durations>,
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

    /// Takes a record that an admin port of this service sent.
    ///
    /// # Errors
    /// If it is no JSON. What is JSON and no record is ignored.
    pub(crate) fn see(&self, service: &'static str, text: &str) -> serde_json::Result<()> {
        let now = now();
        // Nearly all are hops. They are read from the text: to make a value of it first costs more than all the rest.
        let mut json = serde_json::Deserializer::from_str(text);
        let record = Record::read(&mut json, now);
        let Some(record) = record.filter(|_| json.end().is_ok()) else {
            return self.see_event(text);
        };
        self.tell("hop", Some(record.trace), self.data(text));
        let hop = &record.hop;
        if let (Side::Client, Some(took), Some(to)) = (hop.side, hop.duration_us, &hop.to)
            && hop.was_sent()
        {
            self.durations.lock().add(service, to, now, took);
        }
        self.traces.lock().add(record, now);
        Ok(())
    }

    /// Takes a record that is not a hop; its members show its kind.
    fn see_event(&self, text: &str) -> serde_json::Result<()> {
        let value: Value = serde_json::from_str(text)?;
        let has = |name: &str| value.get(name).is_some();
        if has("phase") {
            // A hop that cannot be read.
            return Ok(());
        }
        if let (Some(count), None) = (value.get("count").and_then(Value::as_u64), value.get("at")) {
            let mut lost = self.lost.lock();
            *lost = lost.saturating_add(count);
        } else if has("rules") {
            self.tell("fault", None, self.data(text));
        } else if has("breaker") {
            self.tell("breaker", None, self.data(text));
        } else if has("what") {
            self.tell("dead_letter", None, self.data(text));
        }
        Ok(())
    }

    /// A record on one line; `None` if nobody follows, or if it is too long.
    fn data(&self, text: &str) -> Option<Arc<str>> {
        if self.news.receiver_count() == 0 {
            return None;
        }
        let data = serde_json::from_str::<Value>(text).ok()?.to_string();
        (data.len() <= RECORD_BYTES_MAX).then(|| data.into())
    }

    fn tell(&self, event: &'static str, trace: Option<TraceId>, data: Option<Arc<str>>) {
        if let Some(data) = data {
            // An error means that there is no subscriber any more.
            let _ = self.news.send(News { event, trace, data });
        }
    }

    /// The 99th percentile of the last calls of an edge, in milliseconds; `None` without any in the last minute.
    pub(crate) fn p99_ms(&self, from: &str, to: &str) -> Option<f64> {
        self.durations.lock().p99_ms(from, to, now())
    }

    /// Marks an admin port as followed, until the guard is dropped.
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

    /// A whole trace. It is protected from eviction for a while, since its reader may request it again.
    pub(crate) fn whole(&self, id: TraceId) -> Option<Whole> {
        let mut traces = self.traces.lock();
        traces.ask_for(id, now());
        traces.whole(id)
    }

    /// Notes that a trace is being followed.
    pub(crate) fn ask_for(&self, id: TraceId) {
        self.traces.lock().ask_for(id, now());
    }

    /// The number of records that were dropped, for whatever reason.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hop::tests::{NOW, ended, raw};

    /// An open breaker refuses more calls than are kept.
    #[test]
    fn a_call_that_asked_nobody_does_not_count_as_a_fast_one() {
        let sky = Sky::new(1 << 20);
        let see = |outcome: &str, status: Option<&str>, took: u64| {
            let mut call = ended(raw(1, 2, 0, "client", "a", now()), took);
            call["to"] = "b".into();
            call["outcome"] = outcome.into();
            call["status"] = status.into();
            sky.see("a", &call.to_string()).unwrap();
        };
        see("ok", Some("200"), 9_000);
        for _ in 0..300 {
            see("refused", None, 1);
            see("no_place", None, 1);
        }
        assert_eq!(sky.p99_ms("a", "b"), Some(9.0));
        // This one was asked, and said no.
        see("refused", Some("503"), 20_000);
        assert_eq!(sky.p99_ms("a", "b"), Some(20.0));
    }

    #[test]
    fn a_hop_that_cannot_be_read_is_no_news_of_another_kind() {
        let sky = Sky::new(1 << 20);
        let mut news = sky.news();
        let mut hop = raw(1, 2, 0, "client", "a", NOW);
        hop["breaker"] = "open".into();
        let mut broken = hop.clone();
        broken["side"] = "outside".into();
        sky.see("a", &broken.to_string()).unwrap();
        sky.see("a", &hop.to_string()).unwrap();
        sky.see("a", &format!("{hop} no JSON")).unwrap_err();
        let told = news.try_recv().unwrap();
        assert_eq!((told.event, told.trace), ("hop", Some(1)));
        assert!(news.try_recv().is_err());
    }
}
