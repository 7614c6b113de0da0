//! Looks at journeys while they happen, as `services/gateway/web/journey/view.js` does: it follows the trace's hops, and each is a
//! reason to ask for the whole trace, a moment later.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::events::Stream;
use super::{Seen, at_us, expect, here, now_us, since};
use crate::net::Http1;
use crate::shop::one_line;

/// Hops that come at once are shown together, after so long: the page's `TOGETHER_MS`.
const TOGETHER: Duration = Duration::from_millis(100);
/// For how long one journey is looked at: longer than it takes.
const LOOK: Duration = Duration::from_secs(2);

/// One journey after the other.
pub(super) struct Journeys {
    pub(super) gateway: SocketAddr,
    pub(super) token: String,
    pub(super) product: String,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Journeys {
    pub(super) async fn look(self) -> Result<(), String> {
        let mut api = Http1::open(here(), self.gateway).await?;
        loop {
            let trace = Uuid::new_v4().simple().to_string();
            // First the stream: a hop that was over before it would be shown, and never heard of.
            let path = format!("/observatory/hops?trace_id={trace}");
            let stream = Stream::open(self.gateway, &path).await?;
            let heard = Heard::default();
            let looking = async {
                tokio::select! {
                    broken = self.listen(stream, &heard) => broken,
                    looked = self.show(&trace, &heard) => looked,
                }
            };
            tokio::try_join!(self.buy(&mut api, &trace), looking)?;
            self.seen.lock().not_shown += heard.records.lock().len();
        }
    }

    async fn buy(&self, api: &mut Http1, trace: &str) -> Result<(), String> {
        self.seen.lock().orders += 1;
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
            ("traceparent", parent.as_str()),
        ];
        let body = one_line(&self.product, 1).to_string();
        let answer = api.call("POST", "/api/orders", &headers, body).await?;
        expect("an order", 201, &answer)
    }

    /// Goes on for ever, unless the stream breaks.
    async fn listen(&self, mut stream: Stream, heard: &Heard) -> Result<(), String> {
        loop {
            for event in stream.next().await? {
                let record = event.json()?;
                match event.name.as_str() {
                    "hop" => heard.note(&record),
                    "dropped" => self.seen.lock().missed(&record),
                    _ => {}
                }
                // Whatever it is, the page looks again.
                heard.more.notify_one();
            }
        }
    }

    async fn show(&self, trace: &str, heard: &Heard) -> Result<(), String> {
        let mut api = Http1::open(here(), self.gateway).await?;
        let path = format!("/observatory/traces/{trace}");
        let end = Instant::now() + LOOK;
        while timeout_at(end, heard.more.notified()).await.is_ok() {
            sleep(TOGETHER).await;
            // What has come meanwhile will be in the answer.
            let _ = timeout(Duration::ZERO, heard.more.notified()).await;
            let answer = api.call("GET", &path, &[], "").await?;
            if answer.status() == 404 {
                // The observatory keeps the last traces only. What is missing is counted at the end.
                continue;
            }
            expect(&path, 200, &answer)?;
            let shown = heard.shown(&answer)?;
            self.seen.lock().until_shown.extend(shown);
        }
        Ok(())
    }
}

/// A hop's id, its side, and whether it is its end.
type Key = (String, String, bool);

/// Records of a journey that were heard of, and not shown yet.
#[derive(Default)]
struct Heard {
    /// With their own times, in microseconds since the Unix epoch.
    records: Mutex<HashMap<Key, u64>>,
    more: Notify,
}

impl Heard {
    fn note(&self, record: &Value) {
        if let Some(at) = at_us(record) {
            let key = key(record, "span_id", record["phase"] == "end");
            self.records.lock().insert(key, at);
        }
    }

    /// How late each record is that the trace has now.
    fn shown(&self, answer: &Response<bytes::Bytes>) -> Result<Vec<Duration>, String> {
        let now = now_us();
        let trace: Value = serde_json::from_slice(answer.body()).map_err(|e| e.to_string())?;
        let mut records = self.records.lock();
        let hops = trace["hops"].as_array().into_iter().flatten();
        let keys = hops.flat_map(|hop| {
            let end = hop["ended_at"].is_u64();
            let start = Some(key(hop, "id", false));
            [start, end.then(|| key(hop, "id", true))]
        });
        let shown = keys.flatten().filter_map(|key| records.remove(&key));
        Ok(shown.map(|at| since(at, now)).collect())
    }
}

fn key(hop: &Value, id: &str, is_end: bool) -> Key {
    let text = |name: &str| hop[name].as_str().unwrap_or_default().to_owned();
    (text(id), text("side"), is_end)
}
