//! The JSON of the REST bodies.

use chrono::{TimeZone, Utc};
use contracts::rest::{
    NewOrder, NewOrderItem, Order, OrderItem, OrderPage, OrderStatus, Product, ProductPage,
};
use insta::assert_snapshot;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const USER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
const PRODUCT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003);

/// The JSON, after a round trip.
fn wire<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: &T) -> String {
    let json = serde_json::to_string(body).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), body);
    json
}

fn order(status: OrderStatus, reason: Option<&str>) -> Order {
    let time = Utc.with_ymd_and_hms(2030, 1, 2, 3, 4, 5).unwrap();
    Order {
        id: ORDER,
        user_id: USER,
        status,
        items: vec![OrderItem {
            product_id: PRODUCT,
            quantity: 2,
            unit_price: 1_999,
        }],
        total_amount: 3_998,
        currency: "EUR".into(),
        created_at: time,
        updated_at: time,
        reason: reason.map(str::to_owned),
    }
}

#[test]
fn orders() {
    assert_snapshot!(wire(&NewOrder {
        items: vec![NewOrderItem { product_id: PRODUCT, quantity: 2 }],
    }), @r#"{"items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2}]}"#);
    assert_snapshot!(wire(&order(OrderStatus::Pending, None)), @r#"{"id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","status":"pending","items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2,"unit_price":1999}],"total_amount":3998,"currency":"EUR","created_at":"2030-01-02T03:04:05Z","updated_at":"2030-01-02T03:04:05Z"}"#);
    assert_snapshot!(wire(&OrderPage {
        orders: vec![order(OrderStatus::Rejected, Some("out of stock"))],
        next_page_token: Some("abc".into()),
    }), @r#"{"orders":[{"id":"01900000-0000-7000-8000-000000000001","user_id":"01900000-0000-7000-8000-000000000002","status":"rejected","items":[{"product_id":"01900000-0000-7000-8000-000000000003","quantity":2,"unit_price":1999}],"total_amount":3998,"currency":"EUR","created_at":"2030-01-02T03:04:05Z","updated_at":"2030-01-02T03:04:05Z","reason":"out of stock"}],"next_page_token":"abc"}"#);
    assert_snapshot!(wire(&OrderPage { orders: vec![], next_page_token: None }), @r#"{"orders":[],"next_page_token":null}"#);
}

#[test]
fn products() {
    assert_snapshot!(wire(&ProductPage {
        products: vec![Product {
            id: PRODUCT,
            name: "Kettle".into(),
            description: "Boils water.".into(),
            price: 1_999,
            currency: "EUR".into(),
            available: 7,
        }],
        next_page_token: None,
    }), @r#"{"products":[{"id":"01900000-0000-7000-8000-000000000003","name":"Kettle","description":"Boils water.","price":1999,"currency":"EUR","available":7}],"next_page_token":null}"#);
}

#[test]
fn every_status_has_one_name() {
    for status in [
        OrderStatus::Pending,
        OrderStatus::Confirmed,
        OrderStatus::Rejected,
        OrderStatus::Cancelled,
    ] {
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(json, format!("\"{status}\""));
    }
    assert!(serde_json::from_str::<OrderStatus>("\"shipped\"").is_err());
}
