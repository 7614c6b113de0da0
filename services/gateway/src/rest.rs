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
use chassis::proxies::TrustedProxies;
use contracts::clients::{Orders, Products, Users};

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
        .fold(jwks::router(), |router, root| {
            router.merge(sessions::router(root))
        })
        .with_state(gateway)
}

/// Routes for which it matters who asks.
pub(crate) fn guarded(gateway: Shared) -> Router {
    ROOTS
        .iter()
        .fold(Router::new(), |router, root| {
            router
                .merge(users::router(root))
                .merge(dashboard::router(root))
        })
        .with_state(gateway)
}
