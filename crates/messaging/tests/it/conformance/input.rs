//! Whatever somebody may have published.

use std::collections::BTreeSet;
use std::sync::Arc;

use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent, STRUCTURED_CONTENT_TYPE};
use messaging::{Delivery, HandlerError, Message, PublishError, dead_letter};
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::support::{Recorder, eventually, permanent};

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    sensor: String,
    celsius: f64,
}

impl EventData for Measured {
    const TYPE: &'static str = "test.measured.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        self.sensor.clone()
    }
}

fn measured(celsius: f64) -> Message {
    let event = Event::new(Measured {
        sensor: "roof".to_owned(),
        celsius,
    });
    let binary = event.to_binary(KAFKA_PREFIX).unwrap();
    Message {
        key: Some(event.subject),
        headers: binary.headers,
        payload: binary.body,
    }
}

/// The same in structured mode: one document, with attributes and data in it.
fn measured_in_one_document(celsius: f64) -> Message {
    let event = Event::new(Measured {
        sensor: "cellar".to_owned(),
        celsius,
    });
    Message::new(event.to_structured().unwrap())
        .with_key(event.subject)
        .with_header("content-type", STRUCTURED_CONTENT_TYPE)
}

/// What consumers do: headers first, then the type, then the data.
fn take(delivery: &Delivery) -> Result<Option<f64>, HandlerError> {
    let message = &delivery.message;
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let event = RawEvent::from_message(KAFKA_PREFIX, headers, &message.payload)
        .map_err(HandlerError::permanent)?;
    if event.event_type != Measured::TYPE {
        return Ok(None);
    }
    let event = event
        .decode::<Measured>()
        .map_err(HandlerError::permanent)?;
    Ok(Some(event.data.celsius))
}

/// The messages that no consumer can read, and one for another consumer.
fn bad() -> [(&'static str, Message); 6] {
    let good = || measured(0.0);
    let with = |name: &str, value: &str| {
        let mut message = good();
        for (held, text) in &mut message.headers {
            if held == name {
                value.clone_into(text);
            }
        }
        message
    };
    let of = |payload: &'static [u8]| Message {
        payload: payload.into(),
        ..good()
    };
    [
        ("bytes that are no text", of(&[0, 159, 146, 150, 255])),
        ("nothing at all", Message::default()),
        (
            "no headers",
            Message {
                headers: Vec::new(),
                ..good()
            },
        ),
        (
            "another content type",
            Message {
                payload: "twenty degrees".into(),
                ..with("content-type", "text/plain")
            },
        ),
        ("half of a document", of(b"{\"sensor\":")),
        ("an id that is none", with("ce_id", "7")),
    ]
}

pub(crate) async fn what_cannot_be_read_is_parked_and_the_rest_is_handled<E: Engine>() {
    let engine = E::start().await;
    let effects: Arc<parking_lot::Mutex<Vec<f64>>> = Arc::default();
    let taken = Arc::clone(&effects);
    let handler = Recorder::with(move |delivery| {
        let result = take(&delivery).map(|celsius| taken.lock().extend(celsius));
        async move { result }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish(measured(20.0)).await;
    for (_, message) in bad() {
        engine.publish(message).await;
    }
    // Whole, and none of ours: somebody else's event is no failure.
    let mut foreign = measured(0.0);
    for (name, value) in &mut foreign.headers {
        match name.as_str() {
            "ce_type" => "com.example.other".clone_into(value),
            "ce_source" => "https://example.com/other".clone_into(value),
            _ => {}
        }
    }
    engine.publish(foreign).await;
    engine.publish(measured_in_one_document(8.0)).await;
    engine.publish(measured(21.0)).await;
    handler.wait_done(4).await;
    let all = 4 + bad().len();
    eventually("all were seen", async || handler.seen().len() == all).await;
    let mut effects = effects.lock().clone();
    effects.sort_by(f64::total_cmp);
    assert_eq!(effects, [8.0, 20.0, 21.0]);

    let payloads = |deliveries: &[Delivery]| -> BTreeSet<Vec<u8>> {
        deliveries
            .iter()
            .map(|d| d.message.payload.to_vec())
            .collect()
    };
    let sent: BTreeSet<_> = bad().iter().map(|(_, m)| m.payload.to_vec()).collect();
    assert!(
        payloads(&handler.seen()).is_superset(&sent),
        "byte for byte"
    );
    let reader = Recorder::new();
    if let Some(reading) = engine.read_parked("one", reader.clone()).await {
        let parked = reader.wait_done(bad().len()).await;
        assert_eq!(payloads(&parked), sent);
        assert!(
            parked
                .iter()
                .all(|d| d.header(dead_letter::REASON).is_some())
        );
        reading.stop().await;
    } else {
        assert!(!E::NATURE.parks);
    }
    running.stop().await;
    assert_eq!(
        handler.seen().len(),
        all,
        "what cannot be read is tried once"
    );
}

pub(crate) async fn what_is_too_large_is_rejected<E: Engine>() {
    const BYTES: usize = 5 * 1024 * 1024;
    let engine = E::start().await;
    let handler = Recorder::new();
    let running = engine.subscribe("one", handler.clone()).await;
    let large = Message::new(vec![7; BYTES]);
    let answer = engine
        .publisher()
        .publish(&engine.destination(), large)
        .await;
    let arrived = if let Some(max) = E::NATURE.payload_max {
        assert!(
            matches!(answer, Err(PublishError::TooLarge(_))),
            "{answer:?}"
        );
        engine.publish(Message::new(vec![7; max / 2])).await;
        max / 2
    } else {
        assert_eq!(answer, Ok(()));
        BYTES
    };
    let got = handler.wait_done(1).await.remove(0);
    assert_eq!(got.message.payload.len(), arrived);
    assert!(got.message.payload.iter().all(|byte| *byte == 7));
    running.stop().await;
}

/// No limit of ours holds for what others publish: brokers count compressed batches, or have larger limits.
pub(crate) async fn a_large_message_that_cannot_be_read_does_not_hold_up_its_neighbours<
    E: Engine,
>() {
    const BYTES: usize = 5 * 1024 * 1024;
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        if delivery.message.payload.len() == BYTES {
            Err(permanent("unreadable"))
        } else {
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before"]).await;
    engine
        .publish_foreign(Message::new(vec![7; BYTES]).with_key("k"))
        .await;
    engine.publish_bodies(&["after"]).await;
    handler.wait_done(2).await;
    eventually("all were seen", async || handler.seen().len() == 3).await;

    let reader = Recorder::new();
    if let Some(reading) = engine.read_parked("one", reader.clone()).await {
        let parked = reader.wait_done(1).await.remove(0);
        assert_eq!(parked.header(dead_letter::REASON), Some("unreadable"));
        let size = parked.header(dead_letter::BODY_BYTES).map(str::to_owned);
        if E::NATURE.parks_whole {
            assert_eq!((parked.message.payload.len(), size), (BYTES, None));
        } else {
            let wanted = (0, Some(BYTES.to_string()));
            assert_eq!((parked.message.payload.len(), size), wanted);
            assert!(parked.header(dead_letter::OFFSET).is_some(), "where it is");
        }
        reading.stop().await;
    } else {
        assert!(!E::NATURE.parks);
    }
    running.stop().await;
}
