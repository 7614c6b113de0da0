//! A span that is a hop, and what readers get of it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::fields::Fields;
use super::known::{Ids, Known, Start, waited};
use super::record::{self, Record, written};
use super::{Ring, now};

/// What is kept with a span that is a hop.
pub(crate) struct Hop {
    ring: Arc<Ring>,
    begun: Instant,
    /// The places of the starts that were told, its own and that of its wait in the outbox.
    started: Option<u64>,
    outbox_started: Option<u64>,
    known: Arc<Known>,
}

impl Hop {
    /// A hop that begins now, for the readers of `ring`.
    pub(crate) fn new(ring: Arc<Ring>, fields: Fields) -> Self {
        let known = Arc::new(Known {
            service: ring.service(),
            at: now(),
            ids: OnceLock::new(),
            fields: Mutex::new(fields),
        });
        Self {
            ring,
            begun: Instant::now(),
            started: None,
            outbox_started: None,
            known,
        }
    }

    /// What its span says, to be added to. The ring is not to be asked for anything meanwhile: it may be waiting for the same.
    pub(crate) fn fields(&self) -> MutexGuard<'_, Fields> {
        self.known.fields.lock()
    }

    /// Its own ids, once it has been told.
    pub(crate) fn ids(&self) -> Option<&Ids> {
        self.known.ids.get()
    }

    /// Tells its start, the first time.
    pub(crate) fn start(&mut self, ids: Ids) {
        if self.known.ids.set(ids).is_ok() {
            let has_waited = self.fields().waited.is_some();
            self.outbox_started = has_waited.then(|| self.starts(true));
            self.started = Some(self.starts(false));
        }
    }

    fn starts(&self, of_wait: bool) -> u64 {
        let known = Arc::clone(&self.known);
        self.ring.push_start(Start { known, of_wait })
    }

    /// Tells its end.
    pub(crate) fn ends(&self) {
        let duration = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (own, wait) = self.ends_after(duration);
        for (record, start) in [(own, self.started), (wait, self.outbox_started)] {
            if let Some(record) = record {
                self.ring.push_end(record, start);
            }
        }
    }

    /// The records of its end and of that of its wait in the outbox, which has ended only if the broker has the message.
    fn ends_after(&self, duration: u64) -> (Option<Box<str>>, Option<Box<str>>) {
        let fields = self.fields();
        let (outcome, status) = record::end(&fields);
        let Some(record) = self.known.record("end", &fields) else {
            return (None, None);
        };
        let at = self.known.at.saturating_add(duration);
        let record = Record {
            at,
            duration_us: Some(duration),
            outcome: Some(outcome),
            ..record
        };
        let wait = (outcome == "ok").then(|| waited(record.clone(), &fields));
        let wait = wait.flatten().and_then(|wait| {
            written(&Record {
                at,
                duration_us: Some(at.saturating_sub(wait.at)),
                ..wait
            })
        });
        (written(&Record { status, ..record }), wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Ids {
        Ids {
            trace: "1".repeat(32),
            span: "2".repeat(16),
        }
    }

    #[tokio::test]
    async fn a_start_is_written_when_it_is_read_and_stays_as_it_was_read() {
        let ring = Arc::new(Ring::new("test"));
        let begin = ring.beginning();
        let mut hop = Hop::new(Arc::clone(&ring), Fields::default());
        hop.start(ids());
        hop.fields().fault = Some("latency".to_owned());
        let first = ring.read(begin, 1 << 20).await;
        let is_start = first.text.contains(r#""phase":"start""#);
        assert!(is_start && first.text.contains("latency"), "{}", first.text);
        hop.fields().fault = None;
        hop.ends();
        let both = ring.read(begin, 1 << 20).await;
        assert!(both.text.starts_with(&first.text), "{}", both.text);
        assert!(both.text.contains(r#""phase":"end""#), "{}", both.text);
    }
}
