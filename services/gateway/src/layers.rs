//! The layers in front of the routes: authentication and the limits of each client.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use chassis::auth::{self, Verifier};

use crate::limits::layer::{Limits, limit_clients};

/// Joins the routes that ignore tokens and those that check them.
///
/// Authentication comes before the limits, since they count users rather than addresses where possible.
pub(crate) fn around(open: Router, guarded: Router, verifier: Verifier, limits: Limits) -> Router {
    // One pointer: axum copies what its layers hold several times for each request.
    let limited = from_fn_with_state(Arc::new(limits), limit_clients);
    guarded
        .layer(limited.clone())
        .layer(auth::layer(verifier))
        .merge(open.layer(limited))
}
