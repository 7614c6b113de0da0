//! Events in every version that there is have the effect that they had when they were written.
//!
//! `tests/fixtures/events.txt` has one of each type, as its bytes lie on the topic: `agora.order.placed.v1` from a topic, the others
//! in the same form with the payloads that `contracts` pins. What is there is not written anew, only added to: an event that was
//! published lies on its topic for a week, and among dead letters until somebody looks at it.

use std::collections::BTreeSet;

use contracts::topics::{ORDER_EVENTS, STOCK_EVENTS, USER_EVENTS};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use scenarios::embedded::Embedded;
use scenarios::tap::{Brokers, Record, Tap};
use scenarios::{Marketplace, wait};

use crate::database;
use crate::purchase::mails_naming;

const RECORDED: &str = include_str!("../../fixtures/events.txt");

/// Placed in version 1, then cancelled.
const CANCELLED: &str = "01a223ee-89e0-7472-841d-7bb29822599d";
/// Placed in version 2, then confirmed.
const PLACED_V2: &str = "01a223ee-91e0-7472-841d-7bb29822599d";
/// Of which only the rejection was recorded.
const REJECTED: &str = "01a223ee-92e0-7472-841d-7bb29822599d";
/// Two that wait for products to decide.
const TO_CONFIRM: &str = "01a223ee-93e0-7472-841d-7bb29822599d";
const TO_REJECT: &str = "01a223ee-94e0-7472-841d-7bb29822599d";

/// The orders that wait, as orders keeps them. Nothing is asked again in this century.
const WAITING: &str = "
    INSERT INTO orders (id, user_id, status, total_amount, currency, created_at, updated_at, version, asked, ask_again_at)
    SELECT id, '01a223ee-88b0-7040-bb68-46e6964ef9f9'::uuid, 'pending', 8900, 'EUR', now(), now(), 1, 1, '2100-01-01'::timestamptz
      FROM (VALUES ('01a223ee-93e0-7472-841d-7bb29822599d'::uuid), ('01a223ee-94e0-7472-841d-7bb29822599d')) AS waiting (id);
    INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
    SELECT id, 1, '019a0000-0000-7000-8000-000000000001'::uuid, 1, 8900
      FROM orders WHERE user_id = '01a223ee-88b0-7040-bb68-46e6964ef9f9'";

/// One event, as it lay on its topic.
struct Recorded {
    topic: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

impl Recorded {
    /// All of them; each begins with the name of its topic.
    fn all() -> Vec<Self> {
        let first = RECORDED.strip_prefix("topic: ").expect("a topic");
        first.split("\n\ntopic: ").map(Self::parse).collect()
    }

    fn parse(text: &'static str) -> Self {
        let (topic, rest) = text.split_once('\n').expect("a topic");
        let (headers, body) = rest.split_once("\n\n").expect("headers and a body");
        let headers = headers.lines().map(|line| line.split_once(": "));
        Self {
            topic,
            headers: headers.map(|header| header.expect("a header")).collect(),
            body: body.trim_end(),
        }
    }

    fn header(&self, name: &str) -> &'static str {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1
    }

    fn send(&self, producer: &BaseProducer) {
        let mut headers = OwnedHeaders::new();
        for &(key, value) in &self.headers {
            let value = Some(value);
            headers = headers.insert(Header { key, value });
        }
        let record = BaseRecord::to(self.topic)
            .key(self.header("ce_subject"))
            .payload(self.body)
            .headers(headers);
        let sent = producer.send(record).map_err(|(failed, _)| failed);
        sent.expect("room in the queue");
    }
}

/// The types that are declared, of what goes to topics.
fn declared() -> BTreeSet<String> {
    let document = contracts::asyncapi::document();
    let types = [ORDER_EVENTS, STOCK_EVENTS, USER_EVENTS].map(|topic| {
        let messages = document["channels"][topic]["messages"].as_object();
        messages
            .expect("messages")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    });
    types.into_iter().flatten().collect()
}

/// Waits for an event of this type about the order.
fn told(tap: &Tap, topic: &str, event: &str, order: &str) -> Record {
    wait::until(&format!("{event} about {order}"), || {
        let mut records = tap.records().into_iter();
        records.find(|it| it.topic == topic && it.key == order && it.header("ce_type") == event)
    })
}

/// Each handler of today reads what was written before it, and does what it did.
pub(crate) fn take_effect_as_ever(market: &mut Embedded) {
    let recorded = Recorded::all();
    let types = recorded.iter().map(|it| it.header("ce_type").to_owned());
    assert_eq!(types.collect::<BTreeSet<_>>(), declared(), "one of each");

    database::execute(&market.database("orders"), WAITING);
    let brokers = Brokers {
        address: market.endpoint("kafka"),
        account: None,
    };
    let producer: BaseProducer = brokers.client().create().expect("a producer");
    for event in &recorded {
        event.send(&producer);
    }
    producer.flush(wait::PATIENCE).expect("delivery");

    let tap = market.tap(&[ORDER_EVENTS, STOCK_EVENTS]);
    // By products: of both versions of an order, and of one that was taken back.
    for order in [CANCELLED, PLACED_V2] {
        told(&tap, STOCK_EVENTS, "agora.stock.reserved.v1", order);
    }
    told(&tap, STOCK_EVENTS, "agora.stock.released.v1", CANCELLED);
    // By orders.
    told(&tap, ORDER_EVENTS, "agora.order.confirmed.v1", TO_CONFIRM);
    let rejected = told(&tap, ORDER_EVENTS, "agora.order.rejected.v1", TO_REJECT);
    assert_eq!(rejected.data["reason"], "Copper Kettle: only 1 left");
    // By notifications, which knows the address from the event of the sign-up.
    for order in [CANCELLED, PLACED_V2, REJECTED, TO_CONFIRM, TO_REJECT] {
        let mails = mails_naming(market, order);
        assert_eq!(mails.len(), 1, "exactly one mail");
        assert!(mails[0].contains("recorded@example.org"), "{mails:?}");
    }
}
