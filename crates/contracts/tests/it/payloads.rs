//! The JSON of each event and job. A snapshot that has to change means a new version of the type,
//! unless a field was added that readers may ignore.

use contracts::{
    events::{
        OrderCancelled, OrderConfirmed, OrderLine, OrderLineV2, OrderPlaced, OrderPlacedV2,
        OrderRejected, StockRejected, StockReleased, StockReserved, UserCreated,
    },
    jobs::EmailJob,
    values::{Address, Money},
};
use envelope::{EventData, KAFKA_PREFIX, RawEvent};
use insta::assert_snapshot;
use serde_json::Value;
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const USER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
const PRODUCT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003);

/// `type subject json`, after a round trip, and after one in which the writer is newer than the reader.
fn wire<T: EventData + PartialEq + std::fmt::Debug>(payload: &T) -> String {
    let json = serde_json::to_string(payload).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), payload);

    let mut newer: Value = serde_json::from_str(&json).unwrap();
    newer["added_later"] = Value::Bool(true);
    assert_eq!(&serde_json::from_value::<T>(newer).unwrap(), payload);

    format!("{} {} {json}", T::TYPE, payload.subject())
}

#[test]
fn order_events() {
    assert_snapshot!(wire(&OrderPlaced {
        order_id: ORDER,
        user_id: USER,
        items: vec![OrderLine { product_id: PRODUCT, quantity: 2, unit_price: 1_999 }],
        total_amount: 3_998,
        currency: "EUR".into(),
    }), @r#"agora.order.placed.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2,"unit_price":1999}],"total_amount":3998,"currency":"EUR"}"#);
    assert_snapshot!(wire(&placed_v2()), @r#"agora.order.placed.v2 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2,"unit_price":{"amount":1999,"currency":"EUR"}}],"total":{"amount":3998,"currency":"EUR"},"shipping_address":{"name":"Ada Lovelace","street":"12 St James's Square","postal_code":"SW1Y 4JH","city":"London","country":"GB"}}"#);
    assert_snapshot!(wire(&OrderPlacedV2 { shipping_address: None, ..placed_v2() }), @r#"agora.order.placed.v2 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2,"unit_price":{"amount":1999,"currency":"EUR"}}],"total":{"amount":3998,"currency":"EUR"}}"#);
    assert_snapshot!(wire(&OrderConfirmed {
        order_id: ORDER,
        user_id: USER,
        total_amount: 3_998,
        currency: "EUR".into(),
    }), @r#"agora.order.confirmed.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","total_amount":3998,"currency":"EUR"}"#);
    assert_snapshot!(wire(&OrderRejected {
        order_id: ORDER,
        user_id: USER,
        reason: "out of stock".into(),
    }), @r#"agora.order.rejected.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","reason":"out of stock"}"#);
    assert_snapshot!(wire(&OrderCancelled { order_id: ORDER, user_id: USER }), @r#"agora.order.cancelled.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002"}"#);
}

fn placed_v2() -> OrderPlacedV2 {
    let money = |amount| Money {
        amount,
        currency: "EUR".into(),
    };
    OrderPlacedV2 {
        order_id: ORDER,
        user_id: USER,
        items: vec![OrderLineV2 {
            product_id: PRODUCT,
            quantity: 2,
            unit_price: money(1_999),
        }],
        total: money(3_998),
        shipping_address: Some(Address {
            name: "Ada Lovelace".into(),
            street: "12 St James's Square".into(),
            postal_code: Some("SW1Y 4JH".into()),
            city: "London".into(),
            country: "GB".into(),
        }),
    }
}

/// What a consumer of today makes of an event that was recorded before there was a second version: its bytes, as they
/// lay on the topic.
#[test]
fn a_recorded_event_of_the_first_version_is_read_as_the_second() {
    let recorded = include_str!("../fixtures/order-placed-v1.txt");
    let (headers, body) = recorded.split_once("\n\n").unwrap();
    let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name, value.as_bytes()));
    let event = RawEvent::from_message(KAFKA_PREFIX, headers, body.trim_end().as_bytes()).unwrap();
    assert_eq!(event.logical_id, event.id);
    let id = |text: &str| text.parse::<Uuid>().unwrap();
    let kettle = || Money {
        amount: 8_900,
        currency: "EUR".into(),
    };
    let expected = OrderPlacedV2 {
        order_id: id("01a223ee-89e0-7472-841d-7bb29822599d"),
        user_id: id("01a223ee-88b0-7040-bb68-46e6964ef9f9"),
        items: vec![OrderLineV2 {
            product_id: id("019a0000-0000-7000-8000-000000000001"),
            quantity: 1,
            unit_price: kettle(),
        }],
        total: kettle(),
        shipping_address: None,
    };
    assert_eq!(OrderPlacedV2::versions().read(&event).unwrap(), expected);
}

#[test]
fn stock_events() {
    assert_snapshot!(wire(&StockReserved { order_id: ORDER }), @r#"agora.stock.reserved.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001"}"#);
    assert_snapshot!(wire(&StockRejected { order_id: ORDER, reason: "out of stock".into() }), @r#"agora.stock.rejected.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001","reason":"out of stock"}"#);
    assert_snapshot!(wire(&StockReleased { order_id: ORDER }), @r#"agora.stock.released.v1 01900000-0000-7000-8000-000000000001 {"order_id":"01900000-0000-7000-8000-000000000001"}"#);
}

#[test]
fn user_events() {
    assert_snapshot!(wire(&UserCreated {
        user_id: USER,
        email: "ada@example.com".into(),
        name: "Ada".into(),
    }), @r#"agora.user.created.v1 01900000-0000-7000-8000-000000000002 {"user_id":"01900000-0000-7000-8000-000000000002","email":"ada@example.com","name":"Ada"}"#);
}

#[test]
fn email_jobs() {
    assert_snapshot!(wire(&EmailJob::Welcome {
        user_id: USER,
        email: "ada@example.com".into(),
        name: "Ada".into(),
    }), @r#"agora.email.requested.v1 01900000-0000-7000-8000-000000000002 {"template":"welcome","user_id":"01900000-0000-7000-8000-000000000002","email":"ada@example.com","name":"Ada"}"#);
    assert_snapshot!(wire(&EmailJob::OrderConfirmed {
        user_id: USER,
        order_id: ORDER,
        total_amount: 3_998,
        currency: "EUR".into(),
    }), @r#"agora.email.requested.v1 01900000-0000-7000-8000-000000000001 {"template":"order_confirmed","user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001","total_amount":3998,"currency":"EUR"}"#);
    assert_snapshot!(wire(&EmailJob::OrderRejected {
        user_id: USER,
        order_id: ORDER,
        reason: "out of stock".into(),
    }), @r#"agora.email.requested.v1 01900000-0000-7000-8000-000000000001 {"template":"order_rejected","user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001","reason":"out of stock"}"#);
    assert_snapshot!(wire(&EmailJob::OrderCancelled { user_id: USER, order_id: ORDER }), @r#"agora.email.requested.v1 01900000-0000-7000-8000-000000000001 {"template":"order_cancelled","user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001"}"#);
}

/// What lies in queues was written when the template was a member among others.
#[test]
fn jobs_that_were_queued_before_are_read() {
    let user_id = USER;
    for (queued, job) in [
        (
            r#"{"user_id":"01900000-0000-7000-8000-000000000002","template":"welcome","email":"ada@example.com","name":"Ada"}"#,
            EmailJob::Welcome {
                user_id,
                email: "ada@example.com".into(),
                name: "Ada".into(),
            },
        ),
        (
            r#"{"user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001","template":"order_confirmed","total_amount":3998,"currency":"EUR"}"#,
            EmailJob::OrderConfirmed {
                user_id,
                order_id: ORDER,
                total_amount: 3_998,
                currency: "EUR".into(),
            },
        ),
        (
            r#"{"user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001","template":"order_rejected","reason":"out of stock"}"#,
            EmailJob::OrderRejected {
                user_id,
                order_id: ORDER,
                reason: "out of stock".into(),
            },
        ),
        (
            r#"{"user_id":"01900000-0000-7000-8000-000000000002","order_id":"01900000-0000-7000-8000-000000000001","template":"order_cancelled"}"#,
            EmailJob::OrderCancelled {
                user_id,
                order_id: ORDER,
            },
        ),
    ] {
        assert_eq!(serde_json::from_str::<EmailJob>(queued).unwrap(), job);
    }
}
