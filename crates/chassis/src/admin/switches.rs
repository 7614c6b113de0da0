//! `/switches`: what the process that runs a system can take away from it, or do to it, and undo again.
//!
//! ```sh
//! curl localhost:8097/switches
//! curl localhost:8097/switches/kafka -H 'content-type: application/json' -d '{"on": false}'
//! curl -X DELETE localhost:8097/switches
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use deserr::Deserr;
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::extract::{self, Path};
use crate::problem::Problem;

/// How long the list waits for the state of one switch; without an answer `hit` is `null`, and `on` is where it was last.
const STATE_TIMEOUT: Duration = Duration::from_secs(1);

/// Something that can be switched. This module does not know what it switches.
#[async_trait]
pub trait Switch: Send + Sync + 'static {
    /// Its name and what it is; the same each time.
    fn about(&self) -> About;

    /// Its position and its effect so far. It must be fast, since it is called once a second.
    async fn state(&self) -> State;

    /// Sets it, and returns when that is done. Setting it to where it is already has no effect, unless it does something
    /// each time that it is set to what is not usual, such as to send one more message.
    ///
    /// # Errors
    /// Why it cannot be set, for a person.
    async fn set(&self, on: bool) -> Result<(), String>;
}

/// What a switch is.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name in the address: a-z, 0-9 and `-`.
    pub name: &'static str,
    /// What kind of thing it switches, such as `engine`, `link`, `service`, `load`. Switches of a kind are shown together.
    pub kind: &'static str,
    /// What it switches, for people.
    pub title: String,
    /// The position in which nothing is broken: `true` for an engine, which is there; `false` for a load, which is not.
    pub usual: bool,
    /// Why it cannot be pressed here, if it cannot.
    pub absent: Option<Absent>,
}

/// Why a switch is not to be had.
#[derive(Clone, Debug)]
pub struct Absent {
    /// The reason, for people.
    pub why: String,
    /// A command that does the same, to paste into a terminal.
    pub command: Option<String>,
}

/// The position of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it is on.
    pub on: bool,
    /// What it has hit since it left its usual position; after its return, the last count.
    pub hit: u64,
}

/// The switches of a process; clones share one list.
#[derive(Clone, Default)]
pub struct Switches(Arc<RwLock<Vec<Arc<Entry>>>>);

struct Entry {
    switch: Box<dyn Switch>,
    about: About,
    /// Where it was when that was last known: that it says nothing mends nothing.
    last: Mutex<Last>,
    /// One press at a time.
    pressing: tokio::sync::Mutex<()>,
}

/// Where a switch was, and how often it had been pressed by then.
struct Last {
    on: bool,
    presses: u64,
}

/// The body of `POST /switches/{name}`.
#[derive(Clone, Copy, Debug, Deserr)]
#[deserr(deny_unknown_fields)]
struct Press {
    on: bool,
}

impl Switches {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a switch at the end of the list.
    pub fn add(&self, switch: impl Switch) {
        let about = switch.about();
        let entry = Entry {
            last: Mutex::new(Last {
                on: about.usual,
                presses: 0,
            }),
            about,
            switch: Box::new(switch),
            pressing: tokio::sync::Mutex::default(),
        };
        self.0.write().push(Arc::new(entry));
    }

    /// Returns a copy, so that nothing is asked while the lock is held.
    fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.read().clone()
    }

    fn find(&self, name: &str) -> Result<Arc<Entry>, Problem> {
        let entries = self.entries();
        let found = entries.iter().find(|entry| entry.about.name == name);
        found.cloned().ok_or_else(|| {
            let names: Vec<_> = entries.iter().map(|entry| entry.about.name).collect();
            Problem::not_found().with_detail(match names.as_slice() {
                [] => "there are no switches".to_owned(),
                names => format!("the switches are {}", names.join(", ")),
            })
        })
    }
}

impl std::fmt::Debug for Switches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.entries();
        f.debug_set()
            .entries(names.iter().map(|entry| entry.about.name))
            .finish()
    }
}

impl Entry {
    /// Its state; none if it does not say in time.
    async fn state(&self) -> Option<State> {
        let presses = self.last.lock().presses;
        let said = tokio::time::timeout(STATE_TIMEOUT, self.switch.state()).await;
        let state = said.ok()?;
        let mut last = self.last.lock();
        // Whoever was asked before a press does not say where it is since.
        if last.presses == presses {
            last.on = state.on;
        }
        Some(state)
    }

    async fn show(&self) -> Value {
        let state = self.state().await;
        let About {
            name,
            kind,
            title,
            usual,
            absent,
        } = &self.about;
        let absent = absent
            .as_ref()
            .map(|Absent { why, command }| json!({ "why": why, "command": command }));
        json!({
            "name": name, "kind": kind, "title": title, "usual": usual, "absent": absent,
            "on": state.map_or_else(|| self.last.lock().on, |state| state.on),
            "hit": state.map(|state| state.hit),
        })
    }

    /// Sets it in a separate task, which finishes even if the caller disconnects: a switch that is half set has no defined
    /// position.
    async fn press(self: Arc<Self>, on: bool) -> Result<(), Problem> {
        if let Some(absent) = &self.about.absent {
            return Err(Problem::conflict(absent.why.clone()));
        }
        let name = self.about.name;
        let pressed = tokio::spawn(async move {
            let _turn = self.pressing.lock().await;
            let set = self.switch.set(on).await;
            if set.is_ok() {
                let mut last = self.last.lock();
                last.on = on;
                last.presses += 1;
            }
            set
        });
        let pressed = pressed.await.unwrap_or_else(|panic| Err(panic.to_string()));
        tracing::warn!(switch = name, on, failed = ?pressed.as_ref().err(), "a switch was pressed by hand");
        pressed.map_err(Problem::conflict)
    }
}

pub(super) fn router(switches: Switches) -> Router {
    Router::new()
        .route("/switches", get(list).delete(mend))
        .route("/switches/{name}", post(press))
        .with_state(switches)
}

async fn list(Shared(switches): Shared<Switches>) -> impl IntoResponse {
    let entries = switches.entries();
    let shown = join_all(entries.iter().map(|entry| entry.show())).await;
    fresh(json!({ "switches": shown }))
}

async fn press(
    Shared(switches): Shared<Switches>,
    Path(name): Path<String>,
    extract::Json(Press { on }): extract::Json<Press>,
) -> Result<impl IntoResponse, Problem> {
    let entry = switches.find(&name)?;
    Arc::clone(&entry).press(on).await?;
    Ok(fresh(entry.show().await))
}

/// Mends all of them in a separate task, which finishes even if the caller disconnects: it may take longer than callers wait, and
/// nobody would see that only a part was mended.
async fn mend(Shared(switches): Shared<Switches>) -> Result<StatusCode, Problem> {
    let mending = tokio::spawn(mend_all(switches).in_current_span());
    let ended = mending.await;
    ended.unwrap_or_else(|panic| Err(Problem::conflict(panic.to_string())))
}

/// Sets each of them to its usual position, in the order of the list. Tries all of them, and returns the first error.
async fn mend_all(switches: Switches) -> Result<StatusCode, Problem> {
    let mut outcome = Ok(StatusCode::NO_CONTENT);
    for entry in switches.entries() {
        let usual = entry.about.usual;
        if entry.about.absent.is_some() {
            continue;
        }
        // One that does not say where it is may be broken.
        if entry.state().await.is_some_and(|state| state.on == usual) {
            continue;
        }
        if let Err(problem) = entry.press(usual).await {
            outcome = outcome.and(Err(problem));
        }
    }
    outcome
}

fn fresh(body: Value) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
