//! Subscriptions over a WebSocket, in the protocol `graphql-transport-ws`.
//!
//! The cost of a socket is bounded from its beginning: it takes a place among the streams, as each of its subscriptions does,
//! and every message passes the limits of a request: the client's rate, its turns, the weight of the document. The library's
//! own implementation is not used: it parses a document before its weight can be checked, confuses a second subscription with
//! the same id with the first, and has neither time-outs nor bounds.

mod operation;
mod protocol;
mod session;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::{IntoResponse, Response};
use chassis::auth::{Caller, Refused};
use chassis::http::Unfinished;
use chassis::problem::Problem;
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use tracing::{Instrument, Span};

use super::api::Api;
use super::request::BYTES_MAX;
use crate::limits::client::Client;
use crate::rest::client_address::ClientAddress;
use session::{Opened, Session, Token};

/// The only supported sub-protocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// The most bytes read of a message, more than are allowed so that the sender gets an error. Beyond it the socket is closed.
const READ_BYTES_MAX: usize = 2 * BYTES_MAX;
/// The size of the read buffer, which each socket has.
const READ_BUFFER: usize = 4 * 1024;
/// The most bytes that may wait to be written. While bytes wait, nothing is read.
const WRITE_BUFFER_MAX: usize = 1024 * 1024;

/// Whether the client requests an upgrade to WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(UPGRADE).iter();
    let mut offers = offers.filter_map(|value| value.to_str().ok());
    offers.any(|offers| {
        offers
            .split(',')
            .any(|offer| offer.trim().eq_ignore_ascii_case("websocket"))
    })
}

/// Answers the handshake. `Origin` is not checked: a browser adds no credentials to it by itself, so a page of another origin
/// can do no more with it than any other client.
pub(super) async fn open(api: Arc<Api>, mut parts: Parts) -> Response {
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.protocols([PROTOCOL]),
        Err(rejection) => {
            // Whatever is missing, also where axum has 426: over HTTP/1.0 no connection can be upgraded.
            return Problem::bad_request(rejection.body_text())
                .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
                .into_response();
        }
    };
    if upgrade.selected_protocol().is_none() {
        let detail = format!("the sub-protocol {PROTOCOL} is the only one that is spoken here");
        return Problem::from_status(StatusCode::BAD_REQUEST)
            .with_detail(detail)
            .into_response();
    }
    let Ok(ClientAddress(address)) =
        ClientAddress::from_request_parts(&mut parts, &api.gateway).await;
    // The first message may authenticate the client; until then the socket counts for its address.
    let place = match api.streams.enter(None, address.map(Into::into)) {
        Ok(place) => place,
        Err(full) => return Problem::from(full).into_response(),
    };
    let extensions = &parts.extensions;
    let token = match (extensions.get::<Caller>(), extensions.get::<Refused>()) {
        (Some(caller), _) => Token::Known(caller.token.as_str().into()),
        (None, Some(refused)) => Token::Refused(refused.0.clone()),
        (None, None) => Token::None,
    };
    let client = Client::of(extensions.get::<Caller>(), address);
    let unfinished = extensions.get::<Unfinished>().cloned();
    // Its conversations belong to the request that began it.
    let span = Span::current();
    upgrade
        .max_message_size(READ_BYTES_MAX)
        .max_frame_size(READ_BYTES_MAX)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .on_upgrade(move |socket| {
            let opened = Opened {
                place,
                unfinished,
                address,
                client,
                token,
            };
            Session::new(api, socket, opened).run().instrument(span)
        })
}
