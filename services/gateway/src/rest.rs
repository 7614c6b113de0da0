//! The REST face: what the gateway answers itself. What it only passes on is in [`crate::proxy`].

pub(crate) mod client_address;
mod dashboard;
mod jwks;
mod sessions;
mod users;
pub(crate) mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chassis::openapi::{DocumentError, Info, Routes};
use chassis::proxies::TrustedProxies;
use contracts::clients::{Orders, Products, Users};
use serde_json::Value;

pub(crate) use jwks::Jwks;

/// Where the API lives. The second is the oldest supported version under its own name.
pub(crate) const ROOTS: [&str; 2] = ["/api", "/api/v1"];

/// What handlers need.
pub(crate) struct Gateway {
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) products: Products,
    /// The keys that tokens are checked with, as published.
    pub(crate) jwks: Jwks,
    /// Who is believed when they say for whom they call.
    pub(crate) proxies: TrustedProxies,
    /// How long one part of the dashboard may take.
    pub(crate) dashboard_deadline: Duration,
}

pub(crate) type Shared = Arc<Gateway>;

/// Routes to which it makes no difference who asks: no token is looked at.
pub(crate) fn open(gateway: Shared) -> Router {
    ROOTS
        .iter()
        .map(|root| sessions::routes(root))
        .fold(jwks::routes(), Routes::merge)
        .router()
        .with_state(gateway)
}

/// Routes for which it matters who asks.
pub(crate) fn guarded(gateway: Shared) -> Router {
    ROOTS
        .iter()
        .map(|root| of_callers(root))
        .fold(Routes::below(""), Routes::merge)
        .router()
        .with_state(gateway)
}

/// What a document says of the routes below a root.
///
/// # Errors
/// A mistake of ours in the descriptions of the routes.
pub(crate) fn described(root: &str, info: &Info) -> Result<Value, DocumentError> {
    jwks::routes()
        .merge(sessions::routes(root))
        .merge(of_callers(root))
        .document(info)
}

fn of_callers(root: &str) -> Routes<Shared> {
    users::routes(root).merge(dashboard::routes(root))
}
