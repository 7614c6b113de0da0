//! Headers as the outbox stores them: without what follows from something else.
//!
//! An event has the same dozen of headers each time. As a list of names and values they take more room than most payloads, in
//! the row and again in PostgreSQL's log: names, values that are always the same, the key twice. In the short form a row has the
//! values alone, in one text and in the order of [`FORM`]:
//!
//! ```text
//! =|=|018f…|/services/invoices|example.invoice.paid.v1|=|2025-06-15T15:06:40Z|=||2|||00-0af7…-01|
//! ```
//!
//! Headers that do not fit in are stored as a list, `[["ce_id", "018f…"], …]`. Both forms are read, here and by the function
//! `outbox_headers`.

use sqlx::types::JsonValue;

/// The names of an event's headers in the order in which the envelope writes them, and the value that is the usual one; where there
/// is none it is the key.
///
/// A row is read by position. Another form needs another number of values, by which readers tell it from this one; and they have to
/// know both before anybody writes it.
const FORM: [(&str, Option<&str>); 14] = [
    ("content-type", Some("application/json")),
    ("ce_specversion", Some("1.0")),
    ("ce_id", None),
    ("ce_source", None),
    ("ce_type", None),
    ("ce_subject", None),
    ("ce_time", None),
    ("ce_correlationid", None),
    ("ce_causationid", None),
    ("ce_sequence", None),
    ("ce_logicalid", None),
    ("ce_twins", None),
    ("ce_traceparent", None),
    ("ce_tracestate", None),
];

/// Stands between two values.
const SEPARATOR: &str = "|";
/// Stands for the usual value. No value at all says that there is no such header.
const USUAL: &str = "=";

/// What is stored for the headers of a message with this key.
pub(crate) fn store(headers: Vec<(String, String)>, key: &str) -> JsonValue {
    match shorten(&headers, key) {
        Some(short) => short.into(),
        None => headers
            .into_iter()
            .map(|(name, value)| JsonValue::from(vec![name, value]))
            .collect(),
    }
}

/// `None` for headers that have no short form: other names, another order, a value that would be read as something else.
fn shorten(headers: &[(String, String)], key: &str) -> Option<String> {
    let bytes: usize = headers.iter().map(|(_, value)| value.len()).sum();
    let mut short = String::with_capacity(bytes + FORM.len());
    let mut left = headers.iter().peekable();
    for (position, (name, usual)) in FORM.into_iter().enumerate() {
        if position > 0 {
            short.push_str(SEPARATOR);
        }
        match left.next_if(|header| header.0 == name) {
            None => {}
            Some((_, value)) if value == usual.unwrap_or(key) => short.push_str(USUAL),
            Some((_, value)) if is_ambiguous(value) => return None,
            Some((_, value)) => short.push_str(value),
        }
    }
    left.next().is_none().then_some(short)
}

/// Whether the short form has another meaning for this value.
fn is_ambiguous(value: &str) -> bool {
    value.is_empty() || value == USUAL || value.contains(SEPARATOR)
}

/// The headers of a message with this key from their short form; `None` if it is not one.
pub(crate) fn lengthen(short: &str, key: &str) -> Option<Vec<(String, String)>> {
    let mut values = short.split(SEPARATOR);
    let mut headers = Vec::with_capacity(FORM.len());
    for (name, usual) in FORM {
        let value = match values.next()? {
            "" => continue,
            USUAL => usual.unwrap_or(key),
            value => value,
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    values.next().is_none().then_some(headers)
}

#[cfg(test)]
mod tests {
    use envelope::{Event, EventData, TraceContext};
    use serde::{Deserialize, Serialize};
    use uuid::Uuid;

    use super::*;

    const KEY: &str = "order 1";

    #[derive(Serialize, Deserialize)]
    struct Counted(u64);

    impl EventData for Counted {
        const TYPE: &'static str = "test.counted.v1";
        const SOURCE: &'static str = "/services/test";
        fn subject(&self) -> String {
            KEY.to_owned()
        }
    }

    fn headers<T: Serialize>(event: &Event<T>) -> Vec<(String, String)> {
        event
            .to_binary(envelope::KAFKA_PREFIX)
            .expect("an event")
            .headers
    }

    /// An event that has all that an event can have.
    fn full() -> Event<Counted> {
        let cause = Event::new(Counted(0));
        let trace = TraceContext {
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            tracestate: Some("vendor=1".to_owned()),
        };
        let mut full = Event::new(Counted(1))
            .with_trace(trace)
            .caused_by(&cause)
            .with_sequence(7);
        full.logical_id = Uuid::now_v7();
        full.twins = vec!["test.counted.v2".to_owned()];
        full
    }

    #[test]
    fn all_that_the_envelope_writes_has_a_short_form() {
        for event in [Event::new(Counted(1)), full()] {
            let written = headers(&event);
            let stored = store(written.clone(), KEY);
            let short = stored.as_str().expect("a text");
            assert_eq!(lengthen(short, KEY), Some(written.clone()));
            let long: usize = written
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(short.len() < long * 3 / 4, "{short}");
        }
        assert_eq!(headers(&full()).len(), FORM.len());
    }

    /// What is not of the form is stored as it is, and is never read as something else.
    #[test]
    fn what_has_no_short_form_is_a_list() {
        let mut extended = full();
        let extension = ("tenant".to_owned(), "blue".to_owned());
        extended.extensions.extend([extension]);
        let mut ambiguous = [full(), full()];
        ambiguous[0].source = "/a|b".to_owned();
        ambiguous[1].source = USUAL.to_owned();
        let mut empty = headers(&full());
        empty[2].1.clear();
        let mut swapped = headers(&full());
        swapped.swap(2, 3);
        let all = [headers(&extended), empty, swapped];
        for written in all.into_iter().chain(ambiguous.iter().map(headers)) {
            let list: JsonValue = written
                .iter()
                .map(|(name, value)| JsonValue::from([name.as_str(), value.as_str()]))
                .collect();
            assert_eq!(store(written, KEY), list);
        }
    }

    #[test]
    fn what_is_no_short_form_is_not_read() {
        for text in ["", "=|=|1", SEPARATOR.repeat(FORM.len()).as_str()] {
            assert_eq!(lengthen(text, KEY), None, "{text}");
        }
    }
}
