//! The door: decode, check, execute, encode.

use std::sync::Arc;

use async_graphql::Value;
use async_graphql::parser::types::OperationType;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chassis::auth::{Caller, Verifier};
use chassis::http::streams::Streams;
use chassis::problem::Problem;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use super::api::Api;
use super::asking::Asking;
use super::idle::Idle;
use super::persisted::Persisted;
use super::request::Asked;
use super::schema::shop;
use super::services::Services;
use super::settings::Settings;
use super::{answer, console, emptied, live, socket};
use crate::limits::client::Client;
use crate::limits::layer::Limits;
use crate::rest::Shared;
use crate::rest::client_address::ClientAddress;

/// `/graphql`. A token is checked if there is one; a request without a token is allowed.
pub(crate) fn router(
    services: Services,
    gateway: Shared,
    settings: Settings,
    streams: Streams,
    verifier: Verifier,
    limits: Limits,
) -> Router {
    let api = Api {
        shop: shop(settings.introspection),
        services,
        gateway,
        persisted: Persisted::default(),
        settings,
        streams,
        verifier,
        limits,
    };
    Router::new()
        .route("/graphql", get(read).post(ask))
        .with_state(Arc::new(api))
        .merge(console::router())
}

/// `GET`: the console for a browser, a query in the URL for a program, or the handshake of a socket. It never changes data.
async fn read(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    // A handshake is a GET. To a HEAD an upgrade is an offer that nobody has to take (RFC 9110 section 7.8).
    if parts.method == Method::GET && socket::is_wanted(&parts.headers) {
        return socket::open(api, parts).await;
    }
    let has_query = parts.uri.query().is_some();
    if console::is_wanted(&parts.headers) && !has_query {
        return console::page();
    }
    match Asked::from_query(&parts.uri) {
        Ok(asked) => execute(&api, parts, asked, Reads::Only).await,
        Err(problem) => problem.into_response(),
    }
}

async fn ask(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match Asked::from_body(&parts.headers, body).await {
        Ok(asked) => execute(&api, parts, asked, Reads::AndChanges).await,
        Err(problem) => problem.into_response(),
    }
}

#[derive(PartialEq, Eq)]
enum Reads {
    Only,
    AndChanges,
}

async fn execute(api: &Api, mut parts: Parts, asked: Asked, reads: Reads) -> Response {
    let Ok(ClientAddress(address)) =
        ClientAddress::from_request_parts(&mut parts, &api.gateway).await;
    let caller = Caller::from_request_parts(&mut parts, &()).await;
    let client = Client::of(caller.as_ref().ok(), address);
    let checked = match asked.check(&api.persisted, api.settings.introspection, client) {
        Ok(checked) => checked,
        Err(refusal) => return answer::refused(refusal, &parts.headers),
    };
    let operation = checked.operation();
    if reads == Reads::Only && operation == Some(OperationType::Mutation) {
        return Problem::from_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_detail("a mutation is sent by POST")
            .with_header(header::ALLOW, HeaderValue::from_static("POST"))
            .into_response();
    }
    let is_live = operation == Some(OperationType::Subscription);
    if is_live && !live::is_wanted(&parts.headers) {
        return Problem::from_status(StatusCode::NOT_ACCEPTABLE)
            .with_detail("a subscription is answered as text/event-stream")
            .into_response();
    }
    let user = caller.as_ref().ok().map(|caller| caller.user_id);
    let calls = api.limits.calls_of(client, address);
    // A subscription has no deadline that would end its call: it waits until its turn comes, as over a socket.
    let calls = match is_live {
        true => calls,
        false => calls.until(Instant::now() + api.settings.deadline),
    };
    let idle = Arc::<Idle>::default();
    let mut asking = Asking::new(api.services.clone(), caller, address, calls, &idle);
    if is_live {
        asking.seen = match live::seen(&parts.headers) {
            Ok(seen) => seen,
            Err(problem) => return problem.into_response(),
        };
    }
    let seen = asking.seen.clone();

    if is_live {
        return match api.streams.enter(user, address.map(Into::into)) {
            Ok(place) => live::answer(api.stream(checked, asking), seen, place),
            Err(full) => Problem::from(full).into_response(),
        };
    }
    let is_marked = checked.is_marked;
    let request = checked.request(asking);
    whole(api, request, is_marked, idle, &parts.headers).await
}

/// Executes what is answered at once.
async fn whole(
    api: &Api,
    request: async_graphql::Request,
    is_marked: bool,
    idle: Arc<Idle>,
    headers: &HeaderMap,
) -> Response {
    // Our own deadline and not the caller's: a service that exceeds it has failed, and its breaker counts that.
    let execution = idle.around(api.shop.execute(request));
    let mut executed = client::within(api.settings.deadline, execution).await;
    if is_marked {
        emptied::unmark(&mut executed.data);
    }
    // What was not executed has no data. That is no event but an answer, as for everybody.
    let has_data = executed.data != Value::Null;
    if has_data && live::is_all_that_is_read(headers) {
        return live::whole(executed);
    }
    answer::executed(executed, headers)
}
