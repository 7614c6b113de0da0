//! A service that is away or hangs takes its own fields with it, and no others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use contracts::identity::CUSTOMER;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{Graph, ME, start_at};
use crate::support::{FakeGoods, FakeUsers, UNLUCKY, nobody, silent, token_for};

const ALL: &str =
    "{ me { name } orders(first: 1) { edges { node { id items { product { name } } } } }
    products(first: 1) { edges { node { name } } } }";

/// All calls of a request together, which is more than what answers takes on a busy machine; and what an answer may take then:
/// half of what one call may take that is not ended by this deadline.
const DEADLINE: [&str; 6] = [
    "--graphql-deadline=3s",
    "--request-timeout=60s",
    "--users-client=deadline=60s,attempt=60s",
    "--orders-client=deadline=60s,attempt=60s",
    "--products-client=deadline=60s,attempt=60s",
    "--products-grpc-client=deadline=60s,attempt=60s",
];
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

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

/// What a loader asks for in two calls is two answers.
#[tokio::test]
async fn a_call_that_fails_leaves_what_others_of_its_batch_answered() {
    let graph = Graph::start().await;
    let orders = |name: &str, first: usize| {
        format!("{name}: orders(first: {first}) {{ edges {{ node {{ id }} }} }} ")
    };
    let query = format!("{{ {}{} }}", orders("one", 1), orders("many", UNLUCKY));
    let call = graph.post(&json!({ "query": query }));
    let call = call.token(&token_for(ME, CUSTOMER));
    let seen = call.send().await.ok(200);
    let many = (json!(["many"]), "bad-request");
    assert_eq!(parts(&seen), (vec!["one"], vec![many]));
    assert_eq!(graph.goods.calls(), [("orders of users", 1); 2]);
}

/// Who signed in stays signed in: the keys are known.
#[tokio::test]
async fn dead_users_leave_the_others_fields() {
    let goods = Arc::<FakeGoods>::default();
    let (rest, grpc) = goods.serve().await;
    let elsewhere = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let serving = elsewhere.spawn(FakeUsers::default().serve());
    let (users, _) = serving.await.unwrap();
    let gateway = start_at(users, rest, rest, grpc, &[]).await;
    let token = token_for(ME, CUSTOMER);
    let ask = async |query: &str| {
        let call = gateway.post("/graphql").json(&json!({ "query": query }));
        call.token(&token).send().await.ok(200)
    };
    let all = vec!["me", "orders", "products"];
    assert_eq!(parts(&ask(ALL).await), (all, vec![]));

    // With its sockets: what comes now is refused.
    spawn_blocking(|| drop(elsewhere)).await.unwrap();
    let seen = ask(ALL).await;
    let me = (json!(["me"]), "unavailable");
    assert_eq!(parts(&seen), (vec!["orders", "products"], vec![me]));
    assert_eq!(
        seen["errors"][0]["message"],
        "users is unavailable at the moment"
    );
    let seen = ask("{ orders(first: 1) { edges { node { id user { name } } } } }").await;
    let user = json!(["orders", "edges", 0, "node", "user"]);
    assert_eq!(parts(&seen), (vec!["orders"], vec![(user, "unavailable")]));
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
    let gateway = start_at(users, silent().await, rest, grpc, &DEADLINE).await;
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
    let asked = Instant::now();
    let seen = call.send().await.ok(200);
    let took = asked.elapsed();
    assert!(took < ANSWERED_WITHIN, "{took:?}: {seen}");
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

/// What is asked for last begins late, and has no deadline of its own.
#[tokio::test]
async fn levels_that_hang_below_each_other_cost_the_deadline_once() {
    let goods = Arc::<FakeGoods>::default();
    goods.hangs.store(true, Ordering::SeqCst);
    let (rest, grpc) = goods.serve().await;
    let users = FakeUsers {
        hangs: true,
        ..Default::default()
    };
    let (users, _) = users.serve().await;
    let gateway = start_at(users, rest, rest, grpc, &DEADLINE).await;
    let call = gateway.post("/graphql").json(&json!({ "query": ALL }));
    let call = call.token(&token_for(ME, CUSTOMER));
    let asked = Instant::now();
    let seen = call.send().await.ok(200);
    let took = asked.elapsed();
    assert!(took < ANSWERED_WITHIN, "{took:?}: {seen}");
    let (there, errors) = parts(&seen);
    assert_eq!(there, ["orders", "products"]);
    let product = |item: usize| json!(["orders", "edges", 0, "node", "items", item, "product"]);
    for path in [json!(["me"]), product(0), product(1)] {
        assert!(errors.contains(&(path, "gateway-timeout")), "{seen}");
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
