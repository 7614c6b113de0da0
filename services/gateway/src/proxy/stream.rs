//! Server-sent events that are passed on. A stream may last for hours, so it takes a place among the streams instead of one
//! among the requests in progress or the calls to the service behind.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use chassis::auth::Caller;
use chassis::http::streams::{Full, Place, Streams};
use chassis::proxies::{Origin, TrustedProxies};
use client::PooledBody;
use http::header;
use uuid::Uuid;

const EVENT_STREAM: &str = "text/event-stream";

/// The reader of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    user: Option<Uuid>,
    address: Option<Origin>,
}

impl Reader {
    pub(super) fn of(request: &Request, proxies: &TrustedProxies) -> Self {
        let (extensions, headers) = (request.extensions(), request.headers());
        let info = extensions.get::<ConnectInfo<SocketAddr>>();
        Self {
            user: extensions.get::<Caller>().map(|caller| caller.user_id),
            address: info.map(|info| proxies.client(info.0.ip(), headers).into()),
        }
    }
}

/// Takes a place if this answer is an event stream, which only the service behind decides.
///
/// # Errors
/// If no place is free. The caller drops the answer then, which closes its connection.
pub(super) fn place(
    answer: &http::Response<PooledBody>,
    streams: &Streams,
    reader: Reader,
) -> Result<Option<Place>, Full> {
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    let is_stream = media_type.is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| {
            essence
                .trim_ascii()
                .eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
        })
    });
    if !is_stream {
        return Ok(None);
    }
    streams.enter(reader.user, reader.address).map(Some)
}

/// The answer to the client, frame by frame, until the service, the client or a limit of the place ends it.
pub(super) fn pass(answer: http::Response<PooledBody>, place: Place) -> Response {
    let answer = answer.map(|mut body| {
        body.leave_count();
        Body::new(body)
    });
    place.hold(answer)
}
