//! A call that was assigned to an endpoint.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::circuit_breaker::Admission;
use crate::classify::Outcome;

use super::endpoint::Endpoint;

/// A call that was assigned to an endpoint. It counts as pending there until this is dropped.
///
/// [`Balance`](super::Balance) keeps it in its response future. A caller that streams answers, e.g. a proxy, picks with
/// [`Balance::pick`](super::Balance::pick), calls [`record`](Self::record) when the head of the answer has arrived, and
/// keeps this with the body, so that an endpoint that sends long bodies counts as busy.
pub struct Pending<K, S> {
    endpoint: Arc<Endpoint<K, S>>,
    admission: Option<Admission>,
    since: Instant,
    /// If it is dropped after a time in this range without a result, it counts as a failure.
    late: Range<Duration>,
    recorded: bool,
}

impl<K, S> Pending<K, S> {
    pub(super) fn new(
        endpoint: Arc<Endpoint<K, S>>,
        admission: Option<Admission>,
        since: Instant,
        late: Range<Duration>,
    ) -> Self {
        endpoint.begin();
        Self {
            endpoint,
            admission,
            since,
            late,
            recorded: false,
        }
    }

    /// The endpoint's key.
    pub fn key(&self) -> &K {
        &self.endpoint.key
    }

    /// The endpoint's service; clone it to call it.
    pub fn service(&self) -> &S {
        &self.endpoint.service
    }

    /// Records that the call was answered or failed now, with its latency and outcome. Only the first call of this has
    /// an effect.
    pub fn record(&mut self, outcome: Outcome) {
        if !self.recorded {
            self.recorded = true;
            self.endpoint.record(self.admission, outcome, self.since);
        }
    }
}

impl<K, S> Drop for Pending<K, S> {
    fn drop(&mut self) {
        if !self.recorded {
            // If it was dropped earlier, the caller may not have needed it any more, and the result is unknown.
            let is_late = self.late.contains(&self.since.elapsed());
            self.record(if is_late {
                Outcome::Failure
            } else {
                Outcome::Ignored
            });
        }
        self.endpoint.end();
    }
}

impl<K: fmt::Debug, S> fmt::Debug for Pending<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("endpoint", self.key())
            .field("recorded", &self.recorded)
            .finish_non_exhaustive()
    }
}
