//! A service that is away or hangs takes its own fields with it, and no others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use contracts::identity::CUSTOMER;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Graph, ME, start_at};
use crate::support::{FakeGoods, FakeUsers, nobody, silent, token_for};

const ALL: &str =
    "{ me { name } orders(first: 1) { edges { node { id items { product { name } } } } }
    products(first: 1) { edges { node { name } } } }";

/// The answer's fields that are there, and the paths and codes of its errors.
fn parts(answer: &Value) -> (Vec<&str>, Vec<(Value, &str)>) {
    let data = answer["data"].as_object().unwrap();
    let there = data.iter().filter(|(_, value)| !value.is_null());
    let errors = answer["errors"].as_array().into_iter().flatten();
    let error = |error: &'_ Value| error["path"].clone();
    let codes = errors.map(|it| (error(it), it["extensions"]["code"].as_str().unwrap()));
    let mut names: Vec<_> = there.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    (names, codes.collect())
}

#[tokio::test]
async fn a_dead_service_leaves_the_others_fields() {
    let goods = Arc::<FakeGoods>::default();
    let (rest, grpc) = goods.serve().await;
    let (users, _) = FakeUsers::default().serve().await;
    let (dead, token) = (nobody().await, token_for(ME, CUSTOMER));
    let ask = async |at: [std::net::SocketAddr; 4]| {
        let gateway = start_at(at[0], at[1], at[2], at[3], &[]).await;
        let call = gateway
            .post("/graphql")
            .json(&json!({ "query": ALL }))
            .token(&token);
        call.send().await.ok(200)
    };

    let seen = ask([users, dead, rest, grpc]).await;
    let orders = (json!(["orders"]), "unavailable");
    assert_eq!(parts(&seen), (vec!["me", "products"], vec![orders]));
    assert_eq!(
        seen["errors"][0]["message"],
        "orders is unavailable at the moment"
    );

    let seen = ask([users, rest, dead, grpc]).await;
    let products = (json!(["products"]), "unavailable");
    assert_eq!(parts(&seen), (vec!["me", "orders"], vec![products]));

    // Deep inside: the order is there, and says what it can.
    let seen = ask([users, rest, rest, dead]).await;
    let path = |item: usize| json!(["orders", "edges", 0, "node", "items", item, "product"]);
    let both = vec![(path(0), "unavailable"), (path(1), "unavailable")];
    assert_eq!(parts(&seen), (vec!["me", "orders", "products"], both));
    let order = &seen["data"]["orders"]["edges"][0]["node"];
    assert_eq!(
        order["items"],
        json!([{ "product": null }, { "product": null }])
    );
    assert_eq!(order["id"], Uuid::from_u128(5).to_string());
}

#[tokio::test]
async fn services_that_hang_cost_the_deadline_once() {
    let goods = Arc::<FakeGoods>::default();
    goods.hangs.store(true, Ordering::SeqCst);
    let (rest, grpc) = goods.serve().await;
    let users = FakeUsers {
        hangs: true,
        ..Default::default()
    };
    let (users, _) = users.serve().await;
    let token = token_for(ME, CUSTOMER);
    let flags = ["--graphql-deadline=500ms", "--request-timeout=60s"];
    let gateway = start_at(users, silent().await, rest, grpc, &flags).await;
    let query = format!(
        "{{ me {{ name }} orders {{ edges {{ cursor }} }} product(id: \"{}\") {{ name }}
            products {{ edges {{ cursor }} }} }}",
        Uuid::from_u128(1)
    );
    let call = gateway
        .post("/graphql")
        .json(&json!({ "query": query }))
        .token(&token);
    // Not the door's: it would answer 504, without the part that is there.
    let seen = call.send().await.ok(200);
    let (there, errors) = parts(&seen);
    assert_eq!(there, ["products"]);
    let late: Vec<_> = errors
        .iter()
        .map(|(path, code)| (path[0].as_str().unwrap(), *code))
        .collect();
    for field in ["me", "orders", "product"] {
        assert!(late.contains(&(field, "gateway-timeout")), "{seen}");
    }
}

#[tokio::test]
async fn the_clients_trace_goes_on_through_a_loader() {
    let graph = Graph::start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let query = format!("{{ product(id: \"{}\") {{ name }} }}", Uuid::from_u128(1));
    let call = graph.post(&json!({ "query": query }));
    let sent = format!("00-{trace_id}-b7ad6b7169203331-01");
    call.header("traceparent", &sent).send().await.ok(200);
    let received = graph.goods.traceparent.lock().clone().unwrap();
    assert!(
        received.contains(trace_id) && received != sent,
        "{received}"
    );
}
