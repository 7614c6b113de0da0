//! The REST routes that the gateway answers itself. Those that it passes on are in [`crate::proxy`].

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

/// The state of the handlers.
pub(crate) struct Gateway {
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) products: Products,
    /// The published keys that tokens are checked with.
    pub(crate) jwks: Jwks,
    /// The proxies whose statements about a client's address are believed.
    pub(crate) proxies: TrustedProxies,
    /// The time limit of one part of the dashboard.
    pub(crate) dashboard_deadline: Duration,
}

pub(crate) type Shared = Arc<Gateway>;

/// What is answered here below the roots of every version.
pub(crate) const PARTS: [&str; 3] = ["/users", "/sessions", "/dashboard"];

/// Routes that ignore tokens.
pub(crate) fn open(gateway: Shared) -> Router {
    in_each_version(|_, root| sessions::routes(root))
        .merge(jwks::routes().router())
        .with_state(gateway)
}

/// Routes that check tokens.
pub(crate) fn guarded(gateway: Shared) -> Router {
    in_each_version(of_callers).with_state(gateway)
}

/// The OpenAPI document of these routes in a version.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug of this service.
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
