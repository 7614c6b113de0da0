//! Bad input names what is missing or bad.

use envelope::{EnvelopeError, EventData, KAFKA_PREFIX, RawEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{borrowed, placed};

/// Reads `placed()` in both modes after attributes were changed; `None` removes one. Both modes must
/// complain the same.
fn read_with(changes: &[(&str, Option<&str>)]) -> Result<RawEvent, String> {
    let mut document: Value = serde_json::from_slice(&placed().to_structured().unwrap()).unwrap();
    let mut message = placed().to_binary(KAFKA_PREFIX).unwrap();
    for &(name, value) in changes {
        let header = format!("{KAFKA_PREFIX}{name}");
        message.headers.retain(|(name, _)| *name != header);
        document.as_object_mut().unwrap().remove(name);
        if let Some(value) = value {
            document[name] = json!(value);
            message.headers.push((header, value.to_owned()));
        }
    }
    let structured = RawEvent::from_structured(document.to_string().as_bytes());
    let binary = RawEvent::from_binary(KAFKA_PREFIX, borrowed(&message.headers), &message.body);
    match (structured, binary) {
        (Ok(event), Ok(_)) => Ok(event),
        (Err(one), Err(other)) => {
            assert_eq!(one.to_string(), other.to_string());
            Err(one.to_string())
        }
        (one, other) => panic!("the modes disagree: {one:?}, {other:?}"),
    }
}

#[test]
fn each_required_attribute_is_named_when_missing_or_empty() {
    for name in ["specversion", "id", "source", "type", "subject"] {
        for value in [None, Some("")] {
            assert_eq!(
                read_with(&[(name, value)]).unwrap_err(),
                format!("missing: {name}")
            );
        }
    }
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let answer = read_with(&[("id", None), ("type", None), ("subject", None)]);
    assert_eq!(answer.unwrap_err(), "missing: id, type, subject");
}

#[test]
fn nothing_at_all_is_everything_missing() {
    let all = "missing: specversion, id, source, type, subject, data";
    assert_eq!(
        RawEvent::from_structured(b"{}").unwrap_err().to_string(),
        all
    );
    assert_eq!(
        RawEvent::from_binary(KAFKA_PREFIX, [], b"")
            .unwrap_err()
            .to_string(),
        all
    );
}

#[test]
fn what_is_bad_is_named_with_what_it_held() {
    for (name, held, expected) in [
        ("id", "42", "a UUID is needed"),
        ("correlationid", "x", "a UUID is needed"),
        ("causationid", "x", "a UUID is needed"),
        ("time", "yesterday", "an RFC 3339 time is needed"),
        ("time", "2026-02-30T00:00:00Z", "an RFC 3339 time is needed"),
        ("sequence", "-1", "a whole number from 0 is needed"),
    ] {
        let error = read_with(&[(name, Some(held))]).unwrap_err();
        assert_eq!(
            error,
            format!("attribute {name} holds {held:?}: {expected}")
        );
    }
}

#[test]
fn other_spec_versions_are_refused() {
    let error = read_with(&[("specversion", Some("0.3"))]).unwrap_err();
    assert_eq!(error, "specversion is \"0.3\": only 1.0 is understood");
}

#[test]
fn optional_attributes_may_be_missing() {
    let event = read_with(&[("time", None), ("correlationid", None), ("sequence", None)]).unwrap();
    assert_eq!((event.correlation_id, event.sequence), (event.id, None));
    // The time comes from the UUID v7, hence is the same at each redelivery.
    let again = RawEvent::from_structured(&event.to_structured().unwrap()).unwrap();
    assert_eq!(event.time, again.time);
    assert!((placed().time - event.time).num_seconds().abs() < 60);
}

#[test]
fn a_body_that_is_no_json_is_said_to_be_none() {
    let headers = placed().to_binary(KAFKA_PREFIX).unwrap().headers;
    for body in [
        b"{\"order_id\": ".as_slice(),
        b"plain",
        b"\"\xff\"",
        b"{} {}",
    ] {
        let error = RawEvent::from_binary(KAFKA_PREFIX, borrowed(&headers), body).unwrap_err();
        assert!(matches!(error, EnvelopeError::Body(_)), "{error}");
        assert!(matches!(
            RawEvent::from_structured(body).unwrap_err(),
            EnvelopeError::Body(_)
        ));
    }
}

#[test]
fn structured_attributes_of_other_json_types() {
    let mut document: Value = serde_json::from_slice(&placed().to_structured().unwrap()).unwrap();
    document["sequence"] = json!(7);
    document["xflag"] = json!(true);
    document["xnull"] = Value::Null;
    let event = RawEvent::from_structured(document.to_string().as_bytes()).unwrap();
    assert_eq!(event.sequence, Some(7));
    assert_eq!(
        event.extensions,
        [("xflag".to_owned(), "true".to_owned())].into()
    );
    document["xobject"] = json!({});
    let error = RawEvent::from_structured(document.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("xobject"), "{error}");
}

/// What is there and is not read is not called missing.
#[test]
fn data_in_base64_is_named() {
    let mut document: Value = serde_json::from_slice(&placed().to_structured().unwrap()).unwrap();
    document["data_base64"] = json!("e30=");
    assert!(RawEvent::from_structured(document.to_string().as_bytes()).is_ok());
    document.as_object_mut().unwrap().remove("data");
    let error = RawEvent::from_structured(document.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "attribute data_base64 holds \"e30=\": the data is needed as JSON, in `data`"
    );
}

#[test]
fn header_values_must_be_utf8() {
    let headers: [(&str, &[u8]); 1] = [("ce_source", b"\xff")];
    let error = RawEvent::from_binary(KAFKA_PREFIX, headers, b"{}")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("source") && error.contains("UTF-8"),
        "{error}"
    );
}

#[test]
fn extensions_cannot_shadow_attributes_or_break_the_naming_rule() {
    for name in ["id", "sequence", "data", "Capital", "with-dash", ""] {
        let mut event = placed();
        event.extensions.insert(name.to_owned(), "x".to_owned());
        assert!(event.to_binary(KAFKA_PREFIX).is_err(), "{name}");
        assert!(event.to_structured().is_err(), "{name}");
    }
}

#[test]
fn an_event_without_subject_cannot_be_written() {
    let mut event = placed();
    event.subject.clear();
    assert_eq!(
        event.to_structured().unwrap_err().to_string(),
        "missing: subject"
    );
}

#[derive(Debug, Serialize, Deserialize)]
struct Other {
    order_id: String,
}

impl EventData for Other {
    const TYPE: &'static str = "agora.test.placed.v2";
    const SOURCE: &'static str = "/services/orders";

    fn subject(&self) -> String {
        self.order_id.clone()
    }
}

#[test]
fn another_type_or_shape_is_not_decoded() {
    let raw = RawEvent::from_structured(&placed().to_structured().unwrap()).unwrap();
    assert_eq!(
        raw.decode::<Other>().unwrap_err().to_string(),
        "the event is a agora.test.placed.v1, not a agora.test.placed.v2"
    );
    let mut raw = raw;
    raw.data =
        serde_json::value::to_raw_value(&json!({ "order_id": "1", "amounts": "none" })).unwrap();
    let error = raw.decode::<crate::Placed>().unwrap_err().to_string();
    assert!(
        error.starts_with("the data is no agora.test.placed.v1"),
        "{error}"
    );
}

/// Whoever may write to a topic cannot speak for the service that a type belongs to.
#[test]
fn a_type_is_taken_from_the_source_that_owns_it_only() {
    for source in [
        "/services/products",
        "/services/orders/",
        "/services/orders/../users",
        "/SERVICES/ORDERS",
        &"x".repeat(1000),
    ] {
        let mut forged = placed();
        forged.source = source.to_owned();
        let raw = RawEvent::from_structured(&forged.to_structured().unwrap()).unwrap();
        let error = raw.decode::<crate::Placed>().unwrap_err().to_string();
        let found: String = source.chars().take(EnvelopeError::HELD_CHARS_MAX).collect();
        assert_eq!(
            error,
            format!("a agora.test.placed.v1 comes from /services/orders only, not from {found:?}")
        );
    }
    let raw = RawEvent::from_structured(&placed().to_structured().unwrap()).unwrap();
    assert!(raw.decode::<crate::Placed>().is_ok());
}
