//! `/clients`: how this service's calls to others are doing, and the switches of their breakers.
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

/// The clients of a service, by name; a clone is the same list. Closures and no trait: this crate does
/// not know what makes the clients, and what makes them does not know this crate.
#[derive(Clone, Default)]
pub struct Clients(Arc<RwLock<BTreeMap<String, Entry>>>);

#[derive(Clone)]
struct Entry {
    snapshot: Arc<Snapshot>,
    breaker: Arc<Breaker>,
}

type Snapshot = dyn Fn() -> Value + Send + Sync;
type Breaker = dyn Fn(&BreakerCommand) -> Result<(), String> + Send + Sync;

/// What `POST /clients/{name}/breaker` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserr)]
#[deserr(deny_unknown_fields)]
pub struct BreakerCommand {
    /// What the breaker shall be.
    pub state: BreakerState,
    /// The endpoint whose breaker is meant (`"127.0.0.1:50052"`); absent: the one of the whole client.
    #[deserr(default)]
    pub endpoint: Option<String>,
}

/// What a breaker can be told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(rename_all = lowercase)]
pub enum BreakerState {
    /// Open until told otherwise: no call is made.
    Open,
    /// Closed until told otherwise, whatever fails.
    Closed,
    /// Closed, with nothing remembered, and decided by what happens from now on.
    Reset,
}

impl Clients {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a client, or puts it in the place of the one with this name. `snapshot` is asked for each
    /// `GET`, and should only read; `breaker` obeys, or says why it cannot (no such endpoint, say).
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

    /// What they are called.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries().into_keys().collect()
    }

    /// Copied out, so that no closure runs under the lock.
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
