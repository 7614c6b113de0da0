//! Both modes give back exactly what was put in, whatever it was.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use envelope::{AMQP_PREFIX, Event, EventData, HTTP_PREFIX, KAFKA_PREFIX, RawEvent, TraceContext};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{Placed, borrowed};

/// Any text that CloudEvents allows: no control characters.
fn text() -> impl Strategy<Value = String> {
    "[^\\p{C}]{1,20}"
}

fn time() -> impl Strategy<Value = DateTime<Utc>> {
    // The years 1 to 9999, which RFC 3339 can write.
    (-62_135_596_800_i64..253_402_300_800, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

fn trace() -> impl Strategy<Value = TraceContext> {
    (
        proptest::option::of("00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
        proptest::option::of("[a-z]{1,5}=[!-+]{1,9}"),
    )
        .prop_map(|(traceparent, tracestate)| TraceContext {
            traceparent,
            tracestate,
        })
}

/// Names that begin with `x`, so that none is an attribute's.
fn extensions() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("x[a-z0-9]{0,10}", text(), 0..4)
}

fn data() -> impl Strategy<Value = Placed> {
    (
        text(),
        proptest::option::of(any::<String>()),
        proptest::collection::vec(any::<i64>(), 0..5),
    )
        .prop_map(|(order_id, note, amounts)| Placed {
            order_id,
            note,
            amounts,
        })
}

prop_compose! {
    fn event()(
        ids in any::<(u128, u128, Option<u128>, Option<u128>)>(), source in text(), time in time(),
        sequence in any::<Option<u64>>(), trace in trace(), extensions in extensions(), data in data(),
        twins in proptest::collection::vec("[a-z.]{1,20}", 0..3),
    ) -> Event<Placed> {
        Event {
            id: Uuid::from_u128(ids.0),
            logical_id: Uuid::from_u128(ids.3.unwrap_or(ids.0)),
            source,
            event_type: Placed::TYPE.to_owned(),
            subject: data.subject(),
            time,
            correlation_id: Uuid::from_u128(ids.1),
            causation_id: ids.2.map(Uuid::from_u128),
            sequence,
            twins,
            trace,
            extensions,
            data,
        }
    }
}

/// The event with its data parsed, whatever source it names.
fn decoded(mut raw: RawEvent) -> Event<Placed> {
    let source = std::mem::replace(&mut raw.source, Placed::SOURCE.to_owned());
    let mut event = raw.decode().unwrap();
    event.source = source;
    event
}

proptest! {
    #[test]
    fn structured(event in event()) {
        let raw = RawEvent::from_structured(&event.to_structured().unwrap()).unwrap();
        prop_assert_eq!(decoded(raw), event);
    }

    #[test]
    fn binary(event in event(), prefix in proptest::sample::select(vec![KAFKA_PREFIX, AMQP_PREFIX, HTTP_PREFIX])) {
        let message = event.to_binary(prefix).unwrap();
        let raw = RawEvent::from_binary(prefix, borrowed(&message.headers), &message.body).unwrap();
        prop_assert_eq!(decoded(raw), event);
    }

    #[test]
    fn from_one_mode_into_the_other(event in event()) {
        let raw = RawEvent::from_structured(&event.to_structured().unwrap()).unwrap();
        let message = raw.to_binary(KAFKA_PREFIX).unwrap();
        let raw = RawEvent::from_binary(KAFKA_PREFIX, borrowed(&message.headers), &message.body).unwrap();
        prop_assert_eq!(decoded(raw), event);
    }

    #[test]
    fn http_headers_are_printable_ascii(event in event()) {
        for (name, value) in event.to_binary(HTTP_PREFIX).unwrap().headers {
            prop_assert!(value.bytes().all(|b| (0x21..=0x7e).contains(&b)), "{name}: {value}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = RawEvent::from_structured(&bytes);
        let _ = RawEvent::from_message(KAFKA_PREFIX, [("content-type", bytes.as_slice())], &bytes);
        let _ = RawEvent::from_binary(HTTP_PREFIX, [("ce-id", bytes.as_slice())], &bytes);
    }
}
