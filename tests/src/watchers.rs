//! Who watches a marketplace at work, through its gateway: the streams and calls of an open page, timed as its scripts do it
//! (`services/gateway/web`), and a reader of all hops. What comes, and how late, is noted; nothing is drawn.

mod events;
mod journey;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Response;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::marketplace::Marketplace;
use crate::net::{self, Http1};
use crate::shop::Customer;
use events::Stream;
use journey::Journeys;

const STATES: &str = "/observatory/state/events";
const HOPS: &str = "/observatory/hops";
const LIST: &str = "/observatory/traces?limit=50";
/// The pause between two lists.
const LIST_EVERY: Duration = Duration::from_secs(2);

/// What all of them have got.
#[derive(Debug, Default)]
pub struct Seen {
    /// States of the system.
    pub states: u64,
    /// Lists of the last journeys.
    pub lists: u64,
    /// Records of hops that readers of all hops have got.
    pub records: u64,
    /// Records that readers of hops, of all or of a journey's, were told were dropped.
    pub dropped: u64,
    /// From a record's own time until a reader of all hops had it.
    pub until_read: Vec<Duration>,
    /// From a record's own time until the journey that was looked at showed it.
    pub until_shown: Vec<Duration>,
    /// Records of these journeys that no look at them has shown.
    pub not_shown: usize,
    /// Orders that were placed to look at their journeys.
    pub orders: usize,
    /// Streams and calls that went wrong, and how.
    pub failures: Vec<String>,
}

impl Seen {
    /// Adds what others have got.
    pub fn add(&mut self, others: Self) {
        self.states += others.states;
        self.lists += others.lists;
        self.records += others.records;
        self.dropped += others.dropped;
        self.until_read.extend(others.until_read);
        self.until_shown.extend(others.until_shown);
        self.not_shown += others.not_shown;
        self.orders += others.orders;
        self.failures.extend(others.failures);
    }

    /// Takes note of an event that says how many records were dropped.
    fn missed(&mut self, told: &Value) {
        self.dropped += told["count"].as_u64().unwrap_or_default();
    }
}

/// They watch until they are closed or dropped. To be used inside of a Tokio runtime.
#[derive(Debug)]
pub struct Watchers {
    gateway: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    tasks: JoinSet<()>,
}

impl Watchers {
    /// Nobody yet.
    #[must_use]
    pub fn of(marketplace: &dyn Marketplace) -> Self {
        Self {
            gateway: net::address(&marketplace.endpoint("gateway")),
            seen: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Opens a page that shows the map and the last journeys: it follows the state, and asks for the list again and again. A
    /// page shows one of its views at a time, so this is more than any opens.
    pub fn open_page(&mut self) {
        let (gateway, seen) = (self.gateway, Arc::clone(&self.seen));
        self.watch(states(gateway, seen));
        let (gateway, seen) = (self.gateway, Arc::clone(&self.seen));
        self.watch(lists(gateway, seen));
    }

    /// Orders a piece again and again, and looks at the journey of each order while it happens, as the page's journey does.
    pub fn look_at_journeys(&mut self, buyer: &Customer, product: &str) {
        let journeys = Journeys {
            gateway: self.gateway,
            token: buyer.token.clone(),
            product: product.to_owned(),
            seen: Arc::clone(&self.seen),
        };
        self.watch(journeys.look());
    }

    /// Reads all hops, as `agora trace --follow` does.
    pub fn follow_hops(&mut self) {
        let (gateway, seen) = (self.gateway, Arc::clone(&self.seen));
        self.watch(hops(gateway, seen));
    }

    /// How many orders were placed to look at their journeys.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.seen.lock().orders
    }

    /// Ends all of them: what they have got.
    pub async fn close(mut self) -> Seen {
        self.tasks.shutdown().await;
        std::mem::take(&mut *self.seen.lock())
    }

    fn watch(&mut self, watcher: impl Future<Output = Result<(), String>> + Send + 'static) {
        let seen = Arc::clone(&self.seen);
        self.tasks.spawn(async move {
            if let Err(why) = watcher.await {
                seen.lock().failures.push(why);
            }
        });
    }
}

async fn states(gateway: SocketAddr, seen: Arc<Mutex<Seen>>) -> Result<(), String> {
    let mut stream = Stream::open(gateway, STATES).await?;
    loop {
        let events = stream.next().await?;
        let states = events.iter().filter(|event| event.name == "state");
        seen.lock().states += states.count() as u64;
    }
}

async fn lists(gateway: SocketAddr, seen: Arc<Mutex<Seen>>) -> Result<(), String> {
    let mut api = Http1::open(here(), gateway).await?;
    loop {
        let answer = api.call("GET", LIST, &[], "").await?;
        expect(LIST, 200, &answer)?;
        seen.lock().lists += 1;
        tokio::time::sleep(LIST_EVERY).await;
    }
}

async fn hops(gateway: SocketAddr, seen: Arc<Mutex<Seen>>) -> Result<(), String> {
    let mut stream = Stream::open(gateway, HOPS).await?;
    loop {
        let events = stream.next().await?;
        let now = now_us();
        let mut seen = seen.lock();
        for event in events {
            let data = event.json()?;
            match event.name.as_str() {
                "hop" => {
                    seen.records += 1;
                    let since = at_us(&data).map(|at| since(at, now));
                    seen.until_read.extend(since);
                }
                "dropped" => seen.missed(&data),
                _ => {}
            }
        }
    }
}

/// When what a record tells of happened, in microseconds since the Unix epoch. `None` for the start of a wait in an outbox, which
/// is told when the wait is over.
fn at_us(record: &Value) -> Option<u64> {
    let is_told_later = record["kind"] == "outbox" && record["phase"] == "start";
    record["at"].as_u64().filter(|_| !is_told_later)
}

/// Everybody on this machine has the same clock.
fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn since(at_us: u64, now_us: u64) -> Duration {
    Duration::from_micros(now_us.saturating_sub(at_us))
}

/// Where browsers of this machine come from.
fn here() -> IpAddr {
    net::loopback(1)
}

fn expect<B>(what: &str, status: u16, answer: &Response<B>) -> Result<(), String> {
    match answer.status().as_u16() {
        same if same == status => Ok(()),
        other => Err(format!("{what}: {other} instead of {status}")),
    }
}
