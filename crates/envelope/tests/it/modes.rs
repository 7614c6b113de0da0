//! A consumer reads an event in whichever mode it comes.

use envelope::{EnvelopeError, Event, KAFKA_PREFIX, RawEvent, STRUCTURED_CONTENT_TYPE};

use crate::{Placed, borrowed, placed};

/// A structured event with this content type.
fn structured(content_type: &str) -> Result<Event<Placed>, EnvelopeError> {
    let event = placed();
    let body = event.to_structured()?;
    // A header of binary mode beside it is not the envelope's: the document is.
    let headers = [("ce_id", "another"), ("Content-Type", content_type)];
    let headers = headers.map(|(name, value)| (name, value.as_bytes()));
    let read = RawEvent::from_message(KAFKA_PREFIX, headers, &body)?.decode::<Placed>()?;
    assert_eq!(read.data, event.data);
    Ok(read)
}

#[test]
fn a_structured_event_is_read_by_its_content_type() {
    for content_type in [
        STRUCTURED_CONTENT_TYPE,
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON ;charset=UTF-8",
    ] {
        structured(content_type).unwrap_or_else(|error| panic!("{content_type}: {error}"));
    }
}

#[test]
fn a_binary_event_is_read_with_and_without_a_content_type() {
    let event = placed();
    let mut message = event.to_binary(KAFKA_PREFIX).unwrap();
    for _ in 0..2 {
        let headers = borrowed(&message.headers).collect::<Vec<_>>();
        let read = RawEvent::from_message(KAFKA_PREFIX, headers, &message.body).unwrap();
        assert_eq!(read.decode::<Placed>().unwrap(), event);
        message.headers.retain(|(name, _)| name != "content-type");
    }
}

#[test]
fn a_batch_and_a_foreign_format_are_named() {
    for content_type in [
        "application/cloudevents-batch+json",
        "application/cloudevents+avro",
        "application/cloudevents",
    ] {
        let error = structured(content_type).unwrap_err();
        assert!(matches!(error, EnvelopeError::ContentType(_)), "{error}");
        assert!(error.to_string().contains(content_type), "{error}");
    }
}
