//! What stands in front of the routes: authentication and the limit on each client.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use chassis::auth::{self, Verifier};

use crate::limits::Limiter;
use crate::limits::layer::limit_clients;

/// One router of the routes that take no token and those for which it matters who asks.
///
/// The caller is known before the limit counts, since it counts people rather than addresses where it can.
pub(crate) fn build(
    open: Router,
    guarded: Router,
    verifier: Verifier,
    limiter: Option<Arc<Limiter>>,
) -> Router {
    let authenticated = auth::layer(verifier);
    let Some(limiter) = limiter else {
        return guarded.layer(authenticated).merge(open);
    };
    let count = from_fn_with_state(limiter, limit_clients);
    guarded
        .layer(count.clone())
        .layer(authenticated)
        .merge(open.layer(count))
}
