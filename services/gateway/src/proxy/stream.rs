//! Server-sent events on their way through. They go on for hours, so they take a place of their own instead of one among
//! the requests in progress or the calls to the service behind.

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

/// Who would read a stream.
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

/// A place for this answer if it is a stream of events. Which requests lead to one is the service's to know.
///
/// # Errors
/// If there is no place for another one; the answer is to be dropped then, which closes its connection.
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

/// The answer as the client gets it: each frame as it comes, until one of the three ends it.
pub(super) fn pass(answer: http::Response<PooledBody>, place: Place) -> Response {
    let answer = answer.map(|mut body| {
        body.leave_count();
        Body::new(body)
    });
    place.hold(answer)
}
