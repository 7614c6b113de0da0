//! Subscriptions as server-sent events, in the words of the protocol `graphql-sse` ("distinct connections"): an event `next`
//! for each change, and `complete` at the end. Whoever reads nothing but streams gets queries and mutations in the same words.
//!
//! Its `id` is the change's sequence. A reader whose connection breaks reconnects with it as `Last-Event-ID`, which a browser
//! does by itself.

use async_graphql::Response;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use chassis::http::streams::Place;
use chassis::problem::Problem;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tracing::{Instrument, Span};

use super::accept;
use super::answer::coded;
use super::seen::Seen;

const MEDIA_TYPE: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";
/// The most digits of a sequence, as the documents of REST have it. A `u64` has room for any of as many.
const SEQUENCE_DIGITS_MAX: usize = 19;

/// Whether the client accepts server-sent events.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    accept::is_taken(headers, MEDIA_TYPE)
}

/// Whether the client reads nothing else: those of `graphql-sse` ask for everything so.
pub(super) fn is_all_that_is_read(headers: &HeaderMap) -> bool {
    accept::is_all_that_is_taken(headers, MEDIA_TYPE)
}

/// The reader's position before its connection broke.
///
/// # Errors
/// 400 if the header is not a sequence, or is given twice: what orders would say, before a stream has begun.
pub(super) fn seen(headers: &HeaderMap) -> Result<Seen, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return Ok(Seen::default());
    };
    let digits = |text: &&str| {
        text.len() <= SEQUENCE_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let sequence = value.to_str().ok().filter(digits);
    sequence
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|_| values.next().is_none())
        .map(Seen::upto)
        .ok_or_else(|| Problem::bad_request("Last-Event-ID is not one of this stream"))
}

enum Step {
    Next(BoxStream<'static, Response>),
    Complete,
    End,
}

/// The stream, which holds its place until it ends. The next change is only requested when the reader has taken the last one.
pub(super) fn answer(
    executed: BoxStream<'static, Response>,
    seen: Seen,
    place: Place,
) -> axum::response::Response {
    // The body is read after the handler has returned; its calls still belong to the request's span.
    let span = Span::current();
    let events = stream::unfold(Step::Next(executed), move |step| {
        let (seen, span) = (seen.clone(), span.clone());
        async move {
            match step {
                Step::Next(mut executed) => match executed.next().await {
                    Some(response) => {
                        let failed = !response.errors.is_empty();
                        let next = Event::default().event("next").json_data(coded(response));
                        let next = match seen.last() {
                            Some(sequence) => next.map(|next| next.id(sequence.to_string())),
                            None => next,
                        };
                        // A failed subscription has no position to resume from.
                        let step = if failed {
                            Step::Complete
                        } else {
                            Step::Next(executed)
                        };
                        Some((next, step))
                    }
                    None => Some((complete(), Step::End)),
                },
                Step::Complete => Some((complete(), Step::End)),
                Step::End => None,
            }
        }
        .instrument(span)
    });
    let mut answer = Sse::new(events)
        .keep_alive(KeepAlive::new())
        .into_response();
    // nginx buffers answers without this header.
    let unbuffered = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    answer.headers_mut().extend([unbuffered]);
    place.hold(answer)
}

/// What was executed at once, for who reads nothing but streams: one `next`, and the end.
pub(super) fn whole(executed: Response) -> axum::response::Response {
    let data = match serde_json::to_string(&coded(executed)) {
        Ok(data) => data,
        Err(failed) => return Problem::internal(&failed).into_response(),
    };
    // In one piece, whose length is known: how much of a client is worked on at once depends on it.
    let events = format!("event: next\ndata: {data}\n\nevent: complete\ndata: null\n\n");
    // It may hold a token, and what only its caller may see.
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, events).into_response()
}

fn complete() -> Result<Event, axum::Error> {
    // Browsers ignore an event without a data line, and axum writes none for empty data.
    Ok(Event::default().event("complete").data("null"))
}
