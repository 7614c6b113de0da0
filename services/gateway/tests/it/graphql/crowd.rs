//! What one client asks for side by side, and what that leaves for the others.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::{Json, Router};
use contracts::identity::{ADMIN, CUSTOMER};
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Graph, ME, start_at};
use crate::support::{FakeUsers, nobody, serve, token_for};

/// Searches of one document, each under a name of its own.
fn searches(count: usize, query: &str) -> Value {
    let search =
        |n: usize| format!("p{n}: products(first: 1, query: \"{query}\") {{ edges {{ cursor }} }}");
    let searches: Vec<_> = (0..count).map(search).collect();
    json!({ "query": format!("{{ {} }}", searches.join(" ")) })
}

/// Waits until this many calls have come to the service behind.
async fn until_arrived<T: Debug>(arrived: &Mutex<Vec<T>>, count: usize) {
    let arrival = async {
        while arrived.lock().len() < count {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), arrival).await;
    assert!(in_time.is_ok(), "not {count}: {:?}", arrived.lock());
}

/// As many searches as one document may have are not as many places of the service behind.
#[tokio::test]
async fn a_document_has_no_more_places_behind_than_its_client() {
    // Notes what is searched for, and answers once it may.
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let may_answer = Arc::new(Semaphore::new(0));
    let (noted, waits) = (Arc::clone(&arrived), Arc::clone(&may_answer));
    let products = Router::new().fallback(async move |request: Request| {
        let query = request.uri().query();
        let is_others = query.is_some_and(|query| query.ends_with("q=others"));
        noted.lock().push(is_others);
        waits.acquire().await.unwrap().forget();
        Json(json!({ "products": [], "next_page_token": null }))
    });
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=8",
        "--trusted-proxies=127.0.0.0/8",
        "--products-client=deadline=60s,attempt=60s",
        "--graphql-deadline=60s",
        "--request-timeout=60s",
    ];
    let (dead, shop) = (nobody().await, serve(products).await);
    let gateway = start_at(users, dead, shop, dead, &flags).await;
    let ask = |from: &str, body: &Value| {
        let call = gateway.post("/graphql").json(body);
        tokio::spawn(call.header("x-forwarded-for", from).send())
    };

    // A quarter of the places.
    let many = ask("192.0.2.1", &searches(40, "mine"));
    until_arrived(&arrived, 2).await;
    let others = ask("192.0.2.2", &searches(1, "others"));
    until_arrived(&arrived, 3).await;
    assert_eq!(*arrived.lock(), [false, false, true]);
    may_answer.add_permits(41);
    for asked in [many, others] {
        let seen = asked.await.unwrap().ok(200);
        assert_eq!(seen["errors"], Value::Null, "they only had to wait: {seen}");
    }
    assert_eq!(arrived.lock().len(), 41);
}

/// Nor are as many lists of users, each of which is a stream that has its place until its end.
#[tokio::test]
async fn a_document_has_no_more_lists_of_users_than_its_client_has_places() {
    let gate = Arc::new(Semaphore::new(0));
    let users = FakeUsers {
        listed: 1,
        list_gate: Some(Arc::clone(&gate)),
        ..Default::default()
    };
    let flags = [
        "--client-places=8",
        "--users-client=deadline=60s,attempt=60s",
        "--graphql-deadline=60s",
        "--request-timeout=60s",
    ];
    let graph = Graph::start_with(users, &flags).await;
    let ask = |admin: Uuid, query: String| {
        let call = graph.post(&json!({ "query": query }));
        tokio::spawn(call.token(&token_for(admin, ADMIN)).send())
    };
    let lists = &graph.users.lists;
    let list = |n: usize| format!("u{n}: users(first: 1) {{ edges {{ cursor }} }}");
    let many: Vec<_> = (0..8).map(list).collect();
    let many = ask(ME, format!("{{ {} }}", many.join(" ")));
    until_arrived(lists, 2).await;
    let others = "{ users(first: 2) { edges { cursor } } }".to_owned();
    let others = ask(Uuid::now_v7(), others);
    until_arrived(lists, 3).await;
    // Each asks for one more than its page has.
    assert_eq!(*lists.lock(), [2, 2, 3]);
    gate.add_permits(9);
    for asked in [many, others] {
        let seen = asked.await.unwrap().ok(200);
        assert_eq!(seen["errors"], Value::Null, "they only had to wait: {seen}");
    }
    assert_eq!(lists.lock().len(), 9);
}

/// Requests that are passed on, a dashboard and a change of GraphQL wait for one another.
#[tokio::test]
async fn a_client_has_one_share_of_a_service_however_it_asks() {
    let [mine, theirs] = [ME, Uuid::from_u128(7)].map(|id| token_for(id, CUSTOMER));
    // Notes who asks, and answers once it may.
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let may_answer = Arc::new(Semaphore::new(0));
    let (noted, waits, others) = (
        Arc::clone(&arrived),
        Arc::clone(&may_answer),
        format!("Bearer {theirs}"),
    );
    let orders = Router::new().fallback(async move |request: Request| {
        let is_others = request.headers()["authorization"] == others;
        noted.lock().push(is_others);
        waits.acquire().await.unwrap().forget();
        Json(json!({ "orders": [], "next_page_token": null }))
    });
    let browsed = Arc::new(Semaphore::new(0));
    let browses = Arc::clone(&browsed);
    let products = Router::new().fallback(async move || {
        browses.add_permits(1);
        Json(json!({ "products": [], "next_page_token": null }))
    });
    let (at, users) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=8",
        "--orders-client=deadline=60s,attempt=60s",
        "--dashboard-deadline=60s",
        "--graphql-deadline=60s",
        "--request-timeout=60s",
    ];
    let (orders, products) = (serve(orders).await, serve(products).await);
    let gateway = start_at(at, orders, products, nobody().await, &flags).await;
    let read = |token: &str| tokio::spawn(gateway.get("/api/orders/1").token(token).send());
    let until = async |what: &str, condition: &dyn Fn() -> bool| {
        let condition = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), condition).await;
        assert!(in_time.is_ok(), "not {what}: {:?}", arrived.lock());
    };

    // A quarter of the places.
    let mut asked = vec![read(&mine), read(&mine)];
    until("two requests", &|| arrived.lock().len() == 2).await;
    let dashboard = gateway.get(&format!("/api/dashboard/{ME}")).token(&mine);
    asked.push(tokio::spawn(dashboard.send()));
    until("a dashboard", &|| browsed.available_permits() == 1).await;
    let sign_in = "signIn(email: \"ann@example.org\", password: \"correct horse\") { accessToken }";
    let query = format!("mutation {{ {sign_in} cancelOrder(id: \"{ME}\") {{ id }} }}");
    let change = gateway.post("/graphql").json(&json!({ "query": query }));
    asked.push(tokio::spawn(change.token(&mine).send()));
    until("a sign-in", &|| users.forwarded_for.lock().is_some()).await;
    for before in [2, 3] {
        asked.push(read(&theirs));
        until("others", &|| arrived.lock().len() > before).await;
    }
    assert_eq!(*arrived.lock(), [false, false, true, true]);
    may_answer.add_permits(6);
    for asked in asked {
        assert_eq!(asked.await.unwrap().status, 200);
    }
    assert_eq!(arrived.lock().len(), 6);
}

/// However long it takes until its turn comes: many without one would be as many places of the service behind.
#[tokio::test]
async fn a_subscription_begins_and_goes_on_with_its_turn_and_not_without() {
    let token = token_for(ME, CUSTOMER);
    // Answers about an order once it may, and who watches one with a change, and an end once it may.
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let [may_answer, may_end] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let (noted, answers, ends) = (arrived.clone(), may_answer.clone(), may_end.clone());
    let orders = Router::new().fallback(async move |request: Request| {
        let path = request.uri().path().to_owned();
        noted.lock().push(path.clone());
        if path.ends_with("/orders/1") {
            answers.acquire().await.unwrap().forget();
            return "an order".into_response();
        }
        if !path.ends_with("/events") || request.headers().contains_key("last-event-id") {
            return StatusCode::NO_CONTENT.into_response();
        }
        let change = json!({
            "order_id": ME, "sequence": 1, "status": "pending", "changed_at": "2026-01-01T00:00:00Z",
        });
        let change = format!("retry:1\nid:1\nevent:pending\ndata:{change}\n\n");
        let pieces = stream::iter([(change, false), (":\n\n".to_owned(), true)]);
        let ends = Arc::clone(&ends);
        let pieces = pieces.then(move |(piece, is_last)| {
            let ends = Arc::clone(&ends);
            async move {
                if is_last {
                    ends.acquire().await.unwrap().forget();
                }
                Ok::<_, std::io::Error>(piece)
            }
        });
        let body = Body::from_stream(pieces);
        ([("content-type", "text/event-stream")], body).into_response()
    });
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--orders-client=deadline=60s,attempt=60s",
        "--graphql-deadline=100ms",
        "--request-timeout=60s",
    ];
    let (orders, dead) = (serve(orders).await, nobody().await);
    let gateway = start_at(users, orders, dead, dead, &flags).await;
    let ask = |query: &str| {
        let call = gateway.post("/graphql").json(&json!({ "query": query }));
        call.token(&token)
    };
    let seen = |end: &str| arrived.lock().iter().filter(|it| it.ends_with(end)).count();
    let until = async |end: &str, count: usize| {
        let condition = async {
            while seen(end) < count {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), condition).await;
        assert!(in_time.is_ok(), "{end} {count}: {:?}", arrived.lock());
    };
    let read = || tokio::spawn(gateway.get("/api/orders/1").token(&token).send());
    // A query waits for as long as it has: whoever wanted a turn before has waited for as long, too.
    let waits_in_vain = async || {
        let query = ask("{ orders(first: 1) { edges { cursor } } }");
        let late = query.send().await.ok(200);
        assert_eq!(late["data"]["orders"], Value::Null, "{late}");
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };

    let first = read();
    until("/orders/1", 1).await;
    let watch = format!("subscription {{ orderChanged(id: \"{ME}\") {{ sequence }} }}");
    let watch = ask(&watch).header("accept", "text/event-stream");
    let mut watched = watch.begin().await;
    waits_in_vain().await;
    assert_eq!(seen("/events"), 0, "it has no turn");
    may_answer.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
    let mut told = String::new();
    while !told.contains("\"sequence\":1") {
        let frame = tokio::time::timeout(Duration::from_secs(30), watched.body_mut().frame());
        let frame = frame.await.unwrap().expect("a change").unwrap();
        told += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }

    let second = read();
    until("/orders/1", 2).await;
    may_end.add_permits(1);
    waits_in_vain().await;
    assert_eq!(seen("/events"), 1, "it has no turn to ask again");
    may_answer.add_permits(1);
    assert_eq!(second.await.unwrap().status, 200);
    let rest = watched.into_body().collect();
    let rest = tokio::time::timeout(Duration::from_secs(30), rest).await;
    let rest = rest.unwrap().unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("event: complete"), "{rest}");
    assert_eq!(seen("/events"), 2);
}

/// A document can be longer than any head that is read behind, and what it says takes three times as much in an address.
#[tokio::test]
async fn what_is_too_long_to_be_passed_on_asks_nobody() {
    let graph = Graph::start().await;
    let long = "'".repeat(20_000);
    let search = format!("{{ products(query: \"{long}\") {{ edges {{ cursor }} }} }}");
    let line = format!("{{productId: \"{ME}\", quantity: 1}}");
    let place =
        format!("mutation {{ placeOrder(items: [{line}], idempotencyKey: \"{long}\") {{ id }} }}");
    let me = token_for(ME, CUSTOMER);
    for (field, query) in [("products", search), ("placeOrder", place)] {
        let code = graph.code_of(Some(&me), field, &query).await;
        assert_eq!(code, "bad-request", "{field}");
    }
    assert!(graph.goods.calls().is_empty());
}
