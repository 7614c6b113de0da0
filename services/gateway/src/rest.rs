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

use crate::versions::Version;

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

/// What is answered here below the roots of every version.
pub(crate) const PARTS: [&str; 3] = ["/users", "/sessions", "/dashboard"];

/// Routes to which it makes no difference who asks: no token is looked at.
pub(crate) fn open(gateway: Shared) -> Router {
    in_each_version(|_, root| sessions::routes(root))
        .merge(jwks::routes().router())
        .with_state(gateway)
}

/// Routes for which it matters who asks.
pub(crate) fn guarded(gateway: Shared) -> Router {
    in_each_version(of_callers).with_state(gateway)
}

/// What a document says of the routes of a version.
///
/// # Errors
/// A mistake of ours in the descriptions of the routes.
pub(crate) fn described(version: Version, info: &Info) -> Result<Value, DocumentError> {
    jwks::routes()
        .merge(sessions::routes(version.root()))
        .merge(of_callers(version, version.root()))
        .document(info)
}

fn of_callers(version: Version, root: &str) -> Routes<Shared> {
    let routes = users::routes(root);
    match version {
        Version::V1 => routes
            .merge(users::orders_routes(root))
            .merge(dashboard::routes(root)),
        Version::V2 => routes
            .merge(users::v2::orders_routes(root))
            .merge(dashboard::v2::routes(root)),
    }
}

/// Routes below every root of every version.
fn in_each_version(of: impl Fn(Version, &str) -> Routes<Shared>) -> Router<Shared> {
    let mut router = Router::new();
    for version in Version::ALL {
        for root in version.roots() {
            router = router.merge(of(version, root).router());
        }
    }
    router
}
