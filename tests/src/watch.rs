//! Polls the clients of the services (`/clients` of the admin ports): no hostile client may cause an open breaker, an ejected
//! endpoint, or exhausted bulkheads and retry budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::embedded::Embedded;
use crate::net::{self, Http1};
use crate::wait;

/// The services that call others.
const CALLERS: [&str; 4] = ["gateway", "users", "orders", "products"];
/// How often they are looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// Counters of one client, by what they count; all only grow.
type Counters = BTreeMap<String, u64>;

/// What was seen of one thing, and when first.
#[derive(Debug, Clone)]
pub struct Finding {
    /// When it was seen first.
    pub at: Instant,
    /// Who calls whom, and what happened.
    pub what: String,
}

/// A watch over a marketplace.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    before: Counters,
    now: Counters,
    /// The most failures among the calls that a breaker remembers, and how many there were before.
    worst: Counters,
    worst_before: Counters,
    findings: Vec<Finding>,
    known: BTreeSet<String>,
    /// What was not as it should be in any look.
    open: BTreeSet<String>,
}

/// What a watch has seen.
#[derive(Debug)]
pub struct Report {
    /// What must never happen.
    pub findings: Vec<Finding>,
    /// Calls that a peer, or an endpoint, was blamed for: by whom of whom, and how many.
    pub blamed: Counters,
}

impl Watch {
    /// Looks from now on. What was before counts for nothing. Inside of a Tokio runtime.
    ///
    /// # Panics
    /// When an admin port does not answer.
    pub async fn start(marketplace: &Embedded) -> Self {
        let admins = admins(marketplace);
        let shared = Arc::new(Shared::default());
        shared.look(&admins).await.expect("the admin ports");
        {
            let mut seen = shared.seen();
            seen.before = seen.now.clone();
            seen.findings.clear();
            seen.known.clear();
            seen.worst_before = std::mem::take(&mut seen.worst);
        }
        let looking = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                // The last look is after the end: what happened before it is seen.
                let last = looking.stop.load(Ordering::Relaxed);
                if let Err(why) = looking.look(&admins).await {
                    looking.seen().found(format!("an admin port: {why}"));
                }
                if last {
                    return;
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self { shared, task }
    }

    /// Waits until every breaker is closed and every endpoint is there: what came before is over. Somebody has to
    /// make calls meanwhile.
    ///
    /// # Panics
    /// When it takes longer than [`wait::PATIENCE`], or an admin port does not answer.
    pub async fn calm(marketplace: &Embedded) {
        let since = Instant::now();
        let admins = admins(marketplace);
        loop {
            let shared = Shared::default();
            shared.look(&admins).await.expect("the admin ports");
            let open = std::mem::take(&mut shared.seen().open);
            if open.is_empty() {
                return;
            }
            assert!(since.elapsed() < wait::PATIENCE, "still {open:?}");
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.shared.seen().findings.clone()
    }

    /// Looks once more, and tells.
    pub async fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.task.await.ok();
        let seen = self.shared.seen();
        let mut blamed = seen.worst.clone();
        for (what, worst) in &mut blamed {
            // Old ones leave the memory, so that there may be more new ones than that; their sum is counted, too.
            let before = seen.worst_before.get(what).copied().unwrap_or_default();
            *worst = worst.saturating_sub(before);
        }
        for (what, now) in &seen.now {
            if what.ends_with(BLAMED) {
                let before = seen.before.get(what).copied().unwrap_or_default();
                blamed.insert(what.clone(), now.saturating_sub(before));
            }
        }
        blamed.retain(|_, count| *count > 0);
        Report {
            findings: seen.findings.clone(),
            blamed,
        }
    }
}

fn admins(marketplace: &Embedded) -> [(&'static str, SocketAddr); CALLERS.len()] {
    CALLERS.map(|caller| (caller, net::address(&marketplace.admin(caller))))
}

/// Counters that may grow for honest reasons, too: on a busy machine a call may really take too long.
const BLAMED: &str = "failures";

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    async fn look(&self, admins: &[(&str, SocketAddr)]) -> Result<(), String> {
        for (caller, admin) in admins {
            let mut connection = Http1::open(net::loopback(1), *admin).await?;
            let answer = connection.call("GET", "/clients", &[], "").await?;
            let json: Value =
                serde_json::from_slice(answer.body()).map_err(|_| format!("{answer:?}"))?;
            let clients = json["clients"]
                .as_object()
                .ok_or_else(|| format!("{answer:?}"))?;
            for (peer, client) in clients {
                self.seen().client(&format!("{caller} → {peer}"), client);
            }
        }
        Ok(())
    }
}

impl Seen {
    fn found(&mut self, what: String) {
        if self.known.insert(what.clone()) {
            let at = Instant::now();
            self.findings.push(Finding { at, what });
        }
    }

    /// What the caller remembers of its last errors, once.
    fn why(&mut self, name: &str, errors: &Value) {
        if self.known.insert(format!("{name}: why")) {
            let at = Instant::now();
            let what = format!("{name}: last errors {errors}");
            self.findings.push(Finding { at, what });
        }
    }

    fn is(&mut self, what: String) {
        self.open.insert(what.clone());
        self.found(what);
    }

    fn client(&mut self, name: &str, client: &Value) {
        self.breaker(&format!("{name}: breaker"), &client["breaker"]);
        if client["breaker"]["state"] == "open" {
            self.why(name, &client["last_errors"]);
        }
        for endpoint in client["endpoints"].as_array().into_iter().flatten() {
            let name = format!("{name}: endpoint {}", endpoint["address"]);
            self.breaker(&format!("{name} breaker"), &endpoint["breaker"]);
            self.counter(&format!("{name} {BLAMED}"), &endpoint["failures"]);
            let state = endpoint["state"].as_str().unwrap_or_default();
            if !matches!(state, "ready" | "warming") {
                self.is(format!("{name} is {state}"));
            }
        }
        let full = &client["bulkhead"]["rejected"];
        self.must_not_grow(&format!("{name}: no place"), &full["full"]);
        self.must_not_grow(
            &format!("{name}: no place in time"),
            &full["waited_too_long"],
        );
        let budget = &client["retry"]["not_retried"]["budget"];
        self.must_not_grow(&format!("{name}: no retry budget"), budget);
    }

    fn breaker(&mut self, name: &str, breaker: &Value) {
        let state = breaker["state"].as_str().unwrap_or("closed");
        if state != "closed" {
            self.is(format!("{name} is {state}"));
        }
        self.must_not_grow(&format!("{name} opened"), &breaker["opened"]);
        self.must_not_grow(&format!("{name} refused"), &breaker["rejected"]);
        let failures = breaker["window"]["failures"].as_u64().unwrap_or_default();
        let worst = self
            .worst
            .entry(format!("{name} remembers failures"))
            .or_default();
        *worst = failures.max(*worst);
    }

    fn counter(&mut self, name: &str, value: &Value) -> u64 {
        let value = value.as_u64().unwrap_or_default();
        self.now.insert(name.to_owned(), value);
        value
    }

    fn must_not_grow(&mut self, name: &str, value: &Value) {
        let value = self.counter(name, value);
        let before = self.before.get(name).copied().unwrap_or_default();
        if value > before {
            self.found(name.to_owned());
        }
    }
}
