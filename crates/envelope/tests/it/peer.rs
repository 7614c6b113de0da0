//! Somebody else's CloudEvents code as the judge: the project's own Rust SDK.

use cloudevents::event::{AttributesReader, Data, ExtensionValue, SpecVersion};
use cloudevents::message::{
    BinaryDeserializer, BinarySerializer, MessageAttributeValue, Result as MessageResult,
};
use cloudevents::{Event as PeerEvent, EventBuilder, EventBuilderV10};
use envelope::{BinaryMessage, KAFKA_PREFIX, RawEvent, TraceContext};
use serde_json::json;
use uuid::Uuid;

use crate::{Placed, borrowed, placed};

fn full() -> envelope::Event<Placed> {
    let trace = TraceContext {
        traceparent: Some("00-a-b-01".to_owned()),
        tracestate: None,
    };
    let mut event = placed().with_sequence(3).with_trace(trace);
    event.causation_id = Some(Uuid::now_v7());
    event
}

/// The peer's reading of `event` is the same event.
fn assert_same(peer: &PeerEvent, event: &envelope::Event<Placed>) {
    assert_eq!(peer.specversion(), SpecVersion::V10);
    assert_eq!(peer.id(), event.id.to_string());
    assert_eq!(peer.source().as_str(), event.source);
    assert_eq!(
        (peer.ty(), peer.subject()),
        (event.event_type.as_str(), Some(event.subject.as_str()))
    );
    assert_eq!(peer.time(), Some(&event.time));
    assert_eq!(peer.datacontenttype(), Some("application/json"));
    for (name, value) in [
        ("correlationid", event.correlation_id.to_string()),
        ("causationid", event.causation_id.unwrap().to_string()),
        ("sequence", "3".to_owned()),
        ("traceparent", "00-a-b-01".to_owned()),
    ] {
        assert_eq!(
            peer.extension(name),
            Some(&ExtensionValue::String(value)),
            "{name}"
        );
    }
    let data: serde_json::Value = match peer.data().unwrap() {
        Data::Json(value) => value.clone(),
        Data::String(text) => serde_json::from_str(text).unwrap(),
        Data::Binary(bytes) => serde_json::from_slice(bytes).unwrap(),
    };
    assert_eq!(data, serde_json::to_value(&event.data).unwrap());
}

#[test]
fn the_peer_reads_our_structured_mode() {
    let event = full();
    let peer: PeerEvent = serde_json::from_slice(&event.to_structured().unwrap()).unwrap();
    assert_same(&peer, &event);
}

#[test]
fn the_peer_reads_our_binary_mode() {
    let event = full();
    let message = event.to_binary(KAFKA_PREFIX).unwrap();
    let peer = Reader(message).into_event().unwrap();
    assert_same(&peer, &event);
}

fn theirs() -> PeerEvent {
    EventBuilderV10::new()
        .id(Uuid::now_v7().to_string())
        .source("/services/orders")
        .ty("agora.test.placed.v1")
        .subject("order-9")
        .time(chrono::Utc::now())
        .extension("sequence", "12")
        .extension("xnumber", 5)
        .data(
            "application/json",
            json!({ "order_id": "order-9", "note": null, "amounts": [7] }),
        )
        .build()
        .unwrap()
}

fn assert_read(raw: &RawEvent, peer: &PeerEvent) {
    let event = raw.decode::<Placed>().unwrap();
    assert_eq!(event.id.to_string(), peer.id());
    assert_eq!(
        (event.source.as_str(), event.subject.as_str()),
        ("/services/orders", "order-9")
    );
    assert_eq!((Some(&event.time), event.sequence), (peer.time(), Some(12)));
    assert_eq!(event.extensions["xnumber"], "5");
    assert_eq!(event.data.amounts, [7]);
}

#[test]
fn we_read_the_peers_structured_mode() {
    let peer = theirs();
    let raw = RawEvent::from_structured(&serde_json::to_vec(&peer).unwrap()).unwrap();
    assert_read(&raw, &peer);
}

#[test]
fn we_read_the_peers_binary_mode() {
    let peer = theirs();
    let message = BinaryDeserializer::deserialize_binary(peer.clone(), Writer::default()).unwrap();
    let raw =
        RawEvent::from_binary(KAFKA_PREFIX, borrowed(&message.headers), &message.body).unwrap();
    assert_read(&raw, &peer);
}

/// Hands our headers to the peer's reader the way its own Kafka binding does.
struct Reader(BinaryMessage);

impl BinaryDeserializer for Reader {
    fn deserialize_binary<R: Sized, V: BinarySerializer<R>>(
        self,
        mut visitor: V,
    ) -> MessageResult<R> {
        let find = |wanted: &str| {
            self.0
                .headers
                .iter()
                .find(|(name, _)| name == wanted)
                .unwrap()
                .1
                .clone()
        };
        let version = SpecVersion::try_from(find("ce_specversion").as_str())?;
        visitor = visitor.set_spec_version(version.clone())?;
        visitor = visitor.set_attribute(
            "datacontenttype",
            MessageAttributeValue::String(find("content-type")),
        )?;
        for (name, value) in &self.0.headers {
            let Some(name) = name
                .strip_prefix("ce_")
                .filter(|name| *name != "specversion")
            else {
                continue;
            };
            let value = MessageAttributeValue::String(value.clone());
            visitor = if version.attribute_names().contains(&name) {
                visitor.set_attribute(name, value)?
            } else {
                visitor.set_extension(name, value)?
            };
        }
        visitor.end_with_data(self.0.body.to_vec())
    }
}

/// Takes what the peer's writer gives, the way its own Kafka binding does.
#[derive(Default)]
struct Writer {
    headers: Vec<(String, String)>,
}

impl Writer {
    fn with(mut self, name: String, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl BinarySerializer<BinaryMessage> for Writer {
    fn set_spec_version(self, version: SpecVersion) -> MessageResult<Self> {
        Ok(self.with("ce_specversion".to_owned(), version.to_string()))
    }

    fn set_attribute(self, name: &str, value: MessageAttributeValue) -> MessageResult<Self> {
        let name = if name == "datacontenttype" {
            "content-type".to_owned()
        } else {
            format!("ce_{name}")
        };
        Ok(self.with(name, value.to_string()))
    }

    fn set_extension(self, name: &str, value: MessageAttributeValue) -> MessageResult<Self> {
        Ok(self.with(format!("ce_{name}"), value.to_string()))
    }

    fn end_with_data(self, bytes: Vec<u8>) -> MessageResult<BinaryMessage> {
        Ok(BinaryMessage {
            headers: self.headers,
            body: bytes.into(),
        })
    }

    fn end(self) -> MessageResult<BinaryMessage> {
        self.end_with_data(Vec::new())
    }
}
