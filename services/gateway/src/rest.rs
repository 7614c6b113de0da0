//! The REST face: what the gateway answers itself. What it only passes on is in [`crate::proxy`].

mod dashboard;
mod jwks;
mod sessions;
mod users;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use contracts::clients::{Orders, Products, Users};

use crate::limits::Limiter;

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
    /// Bounds sign-in attempts for one email.
    pub(crate) sign_in: Option<Arc<Limiter>>,
    /// How long one part of the dashboard may take.
    pub(crate) dashboard_deadline: Duration,
}

pub(crate) type Shared = Arc<Gateway>;

/// Routes that take no token. They stand outside of authentication: who has an expired one must be able to sign
/// in again while still sending it.
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
