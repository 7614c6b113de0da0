//! Counts the mails about orders, from the metrics of notifications.

use std::time::Duration;

use client::{Address, HttpPool, Peer, RequestBody};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::failure::Failure;

const ASKED: &str = "deadline=5s,attempt=5s,retries=0,breaker=off";
/// The counter of notifications, which has a label for the kind of mail.
const METRIC: &str = "mails_sent_total";
/// The mails about the decision of an order: one for each order.
const DECIDED: [&str; 2] = ["template=\"OrderConfirmed\"", "template=\"OrderRejected\""];
/// The interval at which the metric is read.
const EVERY: Duration = Duration::from_millis(250);
/// How long to wait for one more mail.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the mails since it was opened, including those about other orders.
pub(crate) struct Mails {
    pool: HttpPool,
    before: u64,
}

impl Mails {
    /// Reads the metrics of this admin port.
    pub(crate) async fn open(admin: Address) -> Result<Self, Failure> {
        let asked = ASKED.parse().map_err(Failure::new)?;
        let mut mails = Self {
            pool: HttpPool::new(Peer::new("metrics", admin, asked).called_by("load")),
            before: 0,
        };
        mails.before = mails.count().await?;
        Ok(mails)
    }

    /// Waits until a number of mails were sent, as long as further ones are sent; `tell` is called with their number.
    pub(crate) async fn until(
        &self,
        wanted: u64,
        mut tell: impl FnMut(u64),
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        let (mut sent, mut last) = (0, begun);
        loop {
            let now = self.sent().await?;
            if now > sent {
                (sent, last) = (now, Instant::now());
                tell(sent);
            }
            if sent >= wanted || last.elapsed() > PATIENCE {
                // After the last order was answered.
                let seconds = (last - begun).as_secs_f64();
                return Ok(json!({ "wanted": wanted, "sent": sent, "seconds_after": seconds }));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// How many were sent until now.
    pub(crate) async fn sent(&self) -> Result<u64, Failure> {
        Ok(self.count().await?.saturating_sub(self.before))
    }

    async fn count(&self) -> Result<u64, Failure> {
        let cannot = |why: String| Failure::new(format!("mails cannot be counted: {why}"));
        let request = Request::get("/metrics")
            .body(RequestBody::whole(""))
            .map_err(|error| cannot(error.to_string()))?;
        let answer = self.pool.send(request).await;
        let answer = answer.map_err(|error| cannot(error.to_string()))?;
        if !answer.status().is_success() {
            return Err(cannot(format!("/metrics answers {}", answer.status())));
        }
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| cannot(error.to_string()))?;
        Ok(count(&String::from_utf8_lossy(&body.to_bytes())))
    }
}

/// The number of mails about decided orders, in Prometheus' text format.
fn count(metrics: &str) -> u64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(METRIC))
        .filter(|line| DECIDED.iter().any(|template| line.contains(template)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        // A count, and never negative.
        .map(|count| count as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mails_about_decided_orders_count() {
        let metrics = "# TYPE mails_sent_total counter\nmails_sent_total{template=\"Welcome\"} 7\n\
            mails_sent_total{template=\"OrderConfirmed\"} 40\nmails_sent_total{template=\"OrderRejected\"} 2\n\
            mails_sent_total{template=\"OrderCancelled\"} 5\n\
            mails_failed_total{template=\"OrderConfirmed\"} 9\n";
        assert_eq!(count(metrics), 42);
    }
}
