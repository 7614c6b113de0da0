//! End-to-end latencies of orders: from the click until the decision, and until its mail was sent.
//!
//! Only some orders are followed, since each needs a stream of its changes, which is load for the shop. An order is followed if
//! one of the [`FOLLOWED_MAX`] places is free when it is accepted. In a slow shop places are free less often, so slow orders are
//! under-represented.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::buyers::Buyers;
use super::seen::{histogram, micros, percentiles};
use crate::failure::Failure;

/// Orders that are followed at a time.
const FOLLOWED_MAX: u32 = 4;
/// How long to wait for a decision, and for one more mail.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval at which the delivery log is read. It does not affect the figures, since the log contains the times.
const LOOK: Duration = Duration::from_millis(50);
/// When the mail about an order's decision was sent.
const MAILED: &str = "SELECT order_id, min(sent_at) FROM deliveries
     WHERE order_id = ANY($1) AND state = 'sent' AND template IN ('OrderConfirmed', 'OrderRejected')
     GROUP BY order_id";

/// See the module.
pub(crate) struct Flows {
    places: Arc<Semaphore>,
    inner: Mutex<Inner>,
}

struct Inner {
    decided_us: Histogram<u64>,
    mailed_us: Histogram<u64>,
    /// Orders whose decision was not seen.
    lost: u64,
    /// The time of each click by the wall clock, as in the delivery log; removed when the mail is known.
    clicked: HashMap<Uuid, DateTime<Utc>>,
}

impl Flows {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(FOLLOWED_MAX as usize)),
            inner: Mutex::new(Inner {
                decided_us: histogram(),
                mailed_us: histogram(),
                lost: 0,
                clicked: HashMap::new(),
            }),
        })
    }

    /// Follows an order in the background, if there is a place.
    pub(super) fn follow(
        self: &Arc<Self>,
        buyers: &Arc<Buyers>,
        number: usize,
        id: &str,
        due: Instant,
    ) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return;
        };
        let (flows, buyers, id) = (Arc::clone(self), Arc::clone(buyers), id.to_owned());
        tokio::spawn(async move {
            flows.decided(&buyers, number, &id, due).await;
            drop(place);
        });
    }

    /// Waits for the decision about an order that was clicked at `due`; returns whether it was seen.
    pub(crate) async fn decided(
        &self,
        buyers: &Buyers,
        number: usize,
        id: &str,
        due: Instant,
    ) -> bool {
        let clicked = clicked(due);
        let seen = timeout(PATIENCE, buyers.decided(number, id)).await;
        let is_decided = seen.unwrap_or(false);
        let took = due.elapsed();
        let mut inner = self.inner.lock();
        if !is_decided {
            inner.lost += 1;
            return false;
        }
        inner.decided_us.saturating_record(micros(took));
        if let Ok(id) = id.parse() {
            inner.clicked.insert(id, clicked);
        }
        true
    }

    /// Waits until nobody is followed any more.
    pub(super) async fn all_decided(&self) {
        // Each place is freed within `PATIENCE`.
        let _ = timeout(PATIENCE, self.places.acquire_many(FOLLOWED_MAX)).await;
    }

    /// Waits for the mails of decided orders in the delivery log of notifications, as long as further ones are sent.
    ///
    /// # Errors
    /// If its database cannot be queried.
    pub(crate) async fn mailed(&self, notifications: &str) -> Result<(), Failure> {
        let cannot =
            |error: sqlx::Error| Failure::new(format!("the delivery log cannot be read: {error}"));
        let mut log = PgConnection::connect(notifications).await.map_err(cannot)?;
        let mut last = Instant::now();
        loop {
            let wanted: Vec<Uuid> = self.inner.lock().clicked.keys().copied().collect();
            if wanted.is_empty() || last.elapsed() > PATIENCE {
                return log.close().await.map_err(cannot);
            }
            let sent: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(MAILED)
                .bind(&wanted)
                .fetch_all(&mut log)
                .await
                .map_err(cannot)?;
            if sent.is_empty() {
                sleep(LOOK).await;
                continue;
            }
            last = Instant::now();
            self.inner.lock().note_mails(&sent);
        }
    }

    /// All of it as JSON.
    pub(crate) fn json(&self) -> Value {
        let inner = self.inner.lock();
        json!({
            "followed": inner.decided_us.len(),
            "lost": inner.lost,
            "decided_ms": percentiles(&inner.decided_us),
            "mailed": inner.mailed_us.len(),
            "mailed_ms": percentiles(&inner.mailed_us),
        })
    }
}

impl Inner {
    fn note_mails(&mut self, sent: &[(Uuid, DateTime<Utc>)]) {
        for (id, at) in sent {
            if let Some(clicked) = self.clicked.remove(id) {
                // Zero if the clock was set back meanwhile.
                let took = (*at - clicked).to_std().unwrap_or_default();
                self.mailed_us.saturating_record(micros(took));
            }
        }
    }
}

/// The same moment by the wall clock.
fn clicked(due: Instant) -> DateTime<Utc> {
    Utc::now() - TimeDelta::from_std(due.elapsed()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_counted_from_the_click_and_once() {
        let flows = Flows::new();
        let (id, now) = (Uuid::new_v4(), Utc::now());
        let at = now + TimeDelta::milliseconds(40);
        {
            let mut inner = flows.inner.lock();
            inner.clicked.insert(id, now);
            inner.note_mails(&[(id, at), (Uuid::new_v4(), at)]);
            inner.note_mails(&[(id, at)]);
        }
        let all = flows.json();
        assert_eq!(all["mailed"], 1);
        let p50 = all["mailed_ms"]["p50"].as_f64().expect("a time");
        assert!((39.0..=41.0).contains(&p50), "{p50}");
        assert_eq!(all["decided_ms"], Value::Null);
    }

    #[test]
    fn a_click_is_as_long_ago_as_it_was_due() {
        let due = Instant::now() - Duration::from_secs(2);
        let ago = (Utc::now() - clicked(due)).num_milliseconds();
        assert!((2_000..60_000).contains(&ago), "{ago}");
    }
}
