//! The limit on each client's requests.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::auth::Caller;
use chassis::problem::Problem;
use chassis::proxies::Origin;
use uuid::Uuid;

use super::Limiter;

/// Who is counted: whoever is signed in by their id, so that people behind one address do not share a
/// budget; everybody else by address.
#[derive(Hash)]
enum Client {
    User(Uuid),
    Address(Origin),
    /// The address is not known, as in a test without a socket.
    Unknown,
}

/// Lets a request through if its client has budget left. Stands behind authentication, which says who it
/// is; whoever tries out tokens is nobody, and counted by address.
pub(crate) async fn limit_clients(
    State(limiter): State<Arc<Limiter>>,
    request: Request,
    next: Next,
) -> Response {
    match limiter.check(client(&request)) {
        Ok(()) => next.run(request).await,
        Err(exceeded) => Problem::from(exceeded).into_response(),
    }
}

fn client(request: &Request) -> Client {
    match request.extensions().get::<Caller>() {
        Some(caller) => Client::User(caller.user_id),
        None => address(request),
    }
}

fn address(request: &Request) -> Client {
    match request.extensions().get::<ConnectInfo<SocketAddr>>() {
        Some(info) => Client::Address(info.0.ip().into()),
        None => Client::Unknown,
    }
}
