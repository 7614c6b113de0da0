//! The same over the admin port.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use chassis::admin::{self, Clients, DeadLetters};
use http_body_util::BodyExt as _;
use messaging::show_dead_letters;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::engines::Office;
use super::parked;
use super::sick::Sick;

/// An admin port with the letters of a store.
async fn ask(letters: &DeadLetters, request: Request<Body>) -> Value {
    let port = admin::controls("test", Clients::new(), letters.clone(), None);
    let answer = port.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

async fn list(letters: &DeadLetters, query: &str) -> (Vec<Value>, Value) {
    let request = Request::get(format!("/dead-letters{query}")).header(HOST, "localhost");
    let listed = ask(letters, request.body(Body::empty()).unwrap()).await;
    let found = listed["dead_letters"].as_array().unwrap().clone();
    (found, listed["more"].clone())
}

async fn send_again(letters: &DeadLetters, which: &Value) -> Value {
    let request = Request::post("/dead-letters/redrive")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json");
    ask(letters, request.body(which.to_string().into()).unwrap()).await
}

pub(crate) async fn they_are_shown_and_sent_again_on_the_admin_port<O: Office>() {
    let (office, letters) = (O::open().await, DeadLetters::default());
    let (store, sick) = (office.store(), Sick::new());
    show_dead_letters(&letters, [office.store()]);
    let running = office.consume(sick.handler.clone());
    office.send(0..6).await;
    let all_are_there = async || parked(store.as_ref(), &office.place(), 6).await;
    all_are_there().await;

    let (all, more) = list(&letters, "").await;
    assert_eq!((all.len(), more), (6, json!(false)));
    assert_eq!(
        (&all[0]["place"], &all[0]["reason"]),
        (&json!(office.place()), &json!("sick"))
    );
    assert_eq!(all[0].get("payload"), None, "bodies are not listed");
    all_are_there().await;
    let (some, more) = list(&letters, "?type=test.1.v1&limit=2").await;
    assert_eq!((some.len(), more), (2, json!(true)));
    assert!(
        some.iter()
            .all(|letter| letter["event_type"] == "test.1.v1")
    );
    all_are_there().await;
    assert!(list(&letters, "?source=elsewhere").await.0.is_empty());

    sick.mend();
    all_are_there().await;
    let dry = send_again(&letters, &json!({"all": true, "dry_run": true})).await;
    let done = json!({"matched": 6, "settled": 0, "gone": 0, "bodyless": 0, "more": false, "dry_run": true});
    assert_eq!(dry, done);
    all_are_there().await;
    let odd = send_again(&letters, &json!({"type": "test.1.v1", "rate": 0})).await;
    let done = json!({"matched": 3, "settled": 3, "gone": 0, "bodyless": 0, "more": false, "dry_run": false});
    assert_eq!(odd, done);
    sick.handler.wait_done(3).await;
    parked(store.as_ref(), &office.place(), 3).await;
    assert_eq!(
        list(&letters, "").await.0.len(),
        3,
        "the others are still there"
    );
    running.stop().await;
}
