//! An order's changes as server-sent events (WHATWG HTML, section 9.2).
//!
//! ```text
//! retry: 1000                                 come again after a second when the connection ends
//!
//! id: 2                                       the change's sequence: what `Last-Event-ID` takes up from
//! event: confirmed                            the status
//! data: {"order_id":"…","sequence":2,"status":"confirmed","changed_at":"…"}
//!
//! :                                           a comment now and then: the connection is alive
//! ```

use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{error::Error, use_cases::watch::Reader, view::Version};

/// How long a reader waits before it reconnects.
const RETRY: Duration = Duration::from_secs(1);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most digits of a sequence, as the documents have it in their pattern.
const SEQUENCE_DIGITS_MAX: usize = 19;

/// The sequence of the last change that the reader has received; 0 if none. A number that no sequence reaches is the largest:
/// no change is after it.
///
/// # Errors
/// If the header is not a sequence, or is given twice.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<i64, Error> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return Ok(0);
    };
    let digits = |text: &&str| {
        text.len() <= SEQUENCE_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    value
        .to_str()
        .ok()
        .filter(digits)
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|_| values.next().is_none())
        .map(|sequence| i64::try_from(sequence).unwrap_or(i64::MAX))
        .ok_or(Error::BadEventId)
}

/// A streamed answer that ends when the order cannot change any more, with a comment after each `heartbeat` without a change.
/// Events are created when the client reads them, so that a slow client does not fill a buffer.
pub(crate) fn answer(reader: Reader, heartbeat: Duration, version: Version) -> Response {
    let changes = stream::unfold(Step::Retry(reader), move |step| async move {
        match step {
            Step::Retry(reader) => Some((Ok(Event::default().retry(RETRY)), Step::Next(reader))),
            Step::Next(mut reader) => {
                let change = reader.next().await?;
                let event = Event::default()
                    .id(change.sequence.to_string())
                    .event(change.status.as_str());
                let event = version.tell(event, reader.order_id(), change);
                Some((event, Step::Next(reader)))
            }
        }
    });
    let heartbeat = KeepAlive::new().interval(heartbeat);
    let mut answer = Sse::new(changes).keep_alive(heartbeat).into_response();
    // nginx buffers answers without this header.
    let unbuffered = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    answer.headers_mut().extend([unbuffered]);
    answer
}

enum Step {
    Retry(Reader),
    Next(Reader),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_event_id_is_a_sequence() {
        let read = |values: &[&str]| {
            let named = |value: &&str| {
                (
                    LAST_EVENT_ID,
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            };
            let headers: HeaderMap = values.iter().map(named).collect();
            last_event_id(&headers).ok()
        };
        assert_eq!(read(&[]), Some(0));
        assert_eq!(read(&["17"]), Some(17));
        // All that has as many digits as the documents allow.
        for last in [
            "9223372036854775807",
            "9223372036854775808",
            "9999999999999999999",
        ] {
            assert_eq!(read(&[last]), Some(i64::MAX), "{last}");
        }
        for bad in ["", "-1", "+1", "1.0", "x", "10000000000000000000", "\u{e9}"] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&["1", "2"]), None, "twice");
    }
}
