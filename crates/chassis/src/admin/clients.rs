//! `/clients`: the state of this service's clients, and the switches of their breakers.
//!
//! ```sh
//! curl localhost:8091/clients
//! curl localhost:8091/clients/products/breaker -H 'content-type: application/json' -d '{"state": "open"}'
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use deserr::Deserr;
use parking_lot::RwLock;
use serde_json::{Value, json};

use crate::extract::{self, Path};
use crate::problem::{FieldError, Problem};

/// The clients of a service, by name; clones share one list. It holds closures instead of a trait object, so that this
/// crate and the one that creates the clients need not know each other.
#[derive(Clone, Default)]
pub struct Clients(Arc<RwLock<BTreeMap<String, Entry>>>);

#[derive(Clone)]
struct Entry {
    snapshot: Arc<Snapshot>,
    breaker: Arc<Breaker>,
}

type Snapshot = dyn Fn() -> Value + Send + Sync;
type Breaker = dyn Fn(&BreakerCommand) -> Result<(), String> + Send + Sync;

/// The body of `POST /clients/{name}/breaker`.
#[derive(Clone, Debug, PartialEq, Eq, Deserr)]
#[deserr(deny_unknown_fields)]
pub struct BreakerCommand {
    /// The state to force.
    pub state: BreakerState,
    /// The endpoint whose breaker is meant (`"127.0.0.1:50052"`); absent for the breaker of the whole client.
    #[deserr(default)]
    pub endpoint: Option<String>,
}

/// The states that a breaker can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(rename_all = lowercase)]
pub enum BreakerState {
    /// Forced open until set otherwise: every call is refused.
    Open,
    /// Forced closed until set otherwise, whatever fails.
    Closed,
    /// Closed with all counts cleared; from then on the breaker decides again.
    Reset,
}

impl Clients {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a client, or replaces the one of this name. `snapshot` is called for each `GET` and should only read.
    /// `breaker` sets the breaker, or returns why it cannot (e.g. there is no such endpoint).
    pub fn add(
        &self,
        name: impl Into<String>,
        snapshot: impl Fn() -> Value + Send + Sync + 'static,
        breaker: impl Fn(&BreakerCommand) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let entry = Entry {
            snapshot: Arc::new(snapshot),
            breaker: Arc::new(breaker),
        };
        self.0.write().insert(name.into(), entry);
    }

    /// The names of the clients.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries().into_keys().collect()
    }

    /// Returns a copy, so that no closure runs while the lock is held.
    fn entries(&self) -> BTreeMap<String, Entry> {
        let entries = self.0.read();
        entries.clone()
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries().keys()).finish()
    }
}

pub(super) fn router(clients: Clients) -> Router {
    Router::new()
        .route("/clients", get(list))
        .route("/clients/{name}", get(one))
        .route("/clients/{name}/breaker", post(set_breaker))
        .with_state(clients)
}

async fn list(State(clients): State<Clients>) -> impl IntoResponse {
    let clients: BTreeMap<_, _> = clients
        .entries()
        .into_iter()
        .map(|(name, entry)| (name, (entry.snapshot)()))
        .collect();
    fresh(json!({ "clients": clients }))
}

async fn one(
    State(clients): State<Clients>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let entry = find(&clients, &name)?;
    Ok(fresh((entry.snapshot)()))
}

async fn set_breaker(
    State(clients): State<Clients>,
    Path(name): Path<String>,
    extract::Json(command): extract::Json<BreakerCommand>,
) -> Result<impl IntoResponse, Problem> {
    let entry = find(&clients, &name)?;
    (entry.breaker)(&command).map_err(|why| {
        let field = if command.endpoint.is_some() {
            "/endpoint"
        } else {
            "/state"
        };
        Problem::unprocessable(vec![FieldError::new(field, why)])
    })?;
    let endpoint = command.endpoint.as_deref();
    tracing::warn!(client = name, endpoint, state = ?command.state, "a breaker was set by hand");
    Ok(fresh((entry.snapshot)()))
}

fn find(clients: &Clients, name: &str) -> Result<Entry, Problem> {
    let mut entries = clients.entries();
    entries.remove(name).ok_or_else(|| {
        let names: Vec<_> = entries.into_keys().collect();
        Problem::not_found().with_detail(match names.as_slice() {
            [] => "this service has no clients".to_owned(),
            names => format!("the clients of this service are {}", names.join(", ")),
        })
    })
}

fn fresh(body: Value) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
