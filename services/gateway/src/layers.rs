//! What stands in front of the routes: authentication and the limits on each client.

use axum::Router;
use axum::middleware::from_fn_with_state;
use chassis::auth::{self, Verifier};

use crate::limits::layer::{Limits, limit_clients};

/// One router of the routes that take no token and those for which it matters who asks.
///
/// The caller is known before the limits count, since they count people rather than addresses where they can.
pub(crate) fn around(open: Router, guarded: Router, verifier: Verifier, limits: Limits) -> Router {
    let limited = from_fn_with_state(limits, limit_clients);
    guarded
        .layer(limited.clone())
        .layer(auth::layer(verifier))
        .merge(open.layer(limited))
}
