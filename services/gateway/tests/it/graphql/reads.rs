//! Queries: what they answer, with how many calls, and to whom.

use std::sync::atomic::Ordering;

use contracts::identity::{ADMIN, CUSTOMER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::{FakeUsers, GOODS, Issuer, REJECTED, token_for};

const NESTED: &str =
    "{ me { id orders(first: 3) { edges { node { items { product { name } } } } } } }";

#[tokio::test]
async fn a_nested_query_costs_one_call_to_each_service_for_each_level() {
    let graph = Graph::start().await;
    let seen = graph.ask(NESTED).await;
    let edges = seen["me"]["orders"]["edges"].as_array().unwrap();
    let names = edges
        .iter()
        .map(|edge| &edge["node"]["items"][1]["product"]["name"]);
    let names: Vec<_> = names.map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["Product 7", "Product 6", "Product 5"]);
    assert_eq!(graph.users_asked(), 1);
    // Six lines, four products: each is asked for once.
    assert_eq!(
        graph.goods.calls(),
        [("orders of users", 1), ("products", 4)]
    );
}

#[tokio::test]
async fn several_users_orders_and_their_products_are_asked_for_together() {
    let listed = FakeUsers {
        listed: 9,
        ..Default::default()
    };
    let graph = Graph::start_with(listed, &[]).await;
    let query = "{ users(first: 4) { pageInfo { hasNextPage } edges { node { id
        orders(first: 5) { edges { node { userId items { product { id } } } } } } } } }";
    let seen = graph.ask_as(ADMIN, query).await;
    let users = seen["users"]["edges"].as_array().unwrap();
    assert_eq!(
        (users.len(), &seen["users"]["pageInfo"]["hasNextPage"]),
        (4, &json!(true))
    );
    for user in users {
        let orders = user["node"]["orders"]["edges"].as_array().unwrap();
        assert_eq!(orders.len(), 5);
        assert!(
            orders
                .iter()
                .all(|order| order["node"]["userId"] == user["node"]["id"])
        );
    }
    assert_eq!(graph.users_asked(), 1);
    assert_eq!(
        graph.goods.calls(),
        [("orders of users", 4), ("products", 6)]
    );
}

/// 1,000 orders of fifty lines, which one call may answer, are several megabytes.
#[tokio::test]
async fn a_long_answer_about_orders_is_read() {
    let graph = Graph::start().await;
    graph.goods.padding.store(6_000_000, Ordering::Relaxed);
    let seen = graph.ask(NESTED).await;
    assert_eq!(seen["me"]["orders"]["edges"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn whose_an_order_is_is_asked_once() {
    let listed = FakeUsers {
        listed: 9,
        ..Default::default()
    };
    let graph = Graph::start_with(listed, &[]).await;
    let order = |n: u128| {
        format!(
            "order(id: \"{}\") {{ userId user {{ id }} }}",
            Uuid::from_u128(n)
        )
    };
    let two = format!("{{ a: {} b: {} }}", order(1), order(2));
    for (role, query) in [
        (
            CUSTOMER,
            "{ orders(first: 5) { edges { node { userId user { id } } } } }",
        ),
        // It is known already.
        (
            CUSTOMER,
            "{ me { orders(first: 5) { edges { node { userId user { id } } } } } }",
        ),
        (
            ADMIN,
            "{ users(first: 4) { edges { node { orders(first: 5) { edges { node { userId user { id } } } } } } } }",
        ),
        (ADMIN, &two),
    ] {
        let seen = graph.ask_as(role, query).await.to_string();
        assert_eq!(graph.users_asked(), 1, "{query}");
        let orders: Vec<_> = seen.split("\"userId\":").skip(1).collect();
        assert!(orders.len() >= 2, "{seen}");
    }
    // What is not theirs to see is null for others, whoever let them see the order.
    let stranger = token_for(Uuid::from_u128(5), CUSTOMER);
    let body = json!({ "query": format!("{{ {} }}", order(1)) });
    let seen = graph.post(&body).token(&stranger).send().await.ok(200);
    assert_eq!(seen["data"]["order"]["user"], json!(null), "{seen}");
    assert_eq!(
        seen["errors"][0]["path"],
        json!(["order", "user"]),
        "{seen}"
    );
    assert_eq!(seen["errors"][0]["extensions"]["code"], "not-found");
    assert_eq!(graph.users_asked(), 0);
}

#[tokio::test]
async fn users_who_are_asked_for_by_their_ids_are_one_call() {
    let graph = Graph::start().await;
    let user = |id: Uuid| format!("user(id: \"{id}\") {{ id }}");
    let (own, one, two) = (user(ME), user(Uuid::from_u128(1)), user(Uuid::from_u128(2)));
    for (role, query, named) in [
        (CUSTOMER, format!("{{ a: {own} b: {own} }}"), 1),
        (CUSTOMER, format!("{{ me {{ id }} {own} }}"), 1),
        (ADMIN, format!("{{ a: {one} b: {two} c: {one} }}"), 2),
        (ADMIN, format!("{{ me {{ id }} a: {one} b: {two} }}"), 3),
    ] {
        graph.ask_as(role, &query).await;
        assert_eq!(graph.users_asked(), 1, "{query}");
        assert_eq!(graph.batches(), [named], "{query}");
    }
}

#[tokio::test]
async fn several_customers_of_several_orders_are_one_call() {
    let graph = Graph::start().await;
    let ask = async |orders: &mut dyn Iterator<Item = u128>| {
        let fields = orders.map(|n| {
            let id = Uuid::from_u128(n);
            format!("o{n}: order(id: \"{id}\") {{ userId user {{ id }} }} ")
        });
        let fields: String = fields.collect();
        let body = json!({ "query": format!("{{ {fields} }}") });
        let token = token_for(ME, ADMIN);
        graph.post(&body).token(&token).send().await.ok(200)
    };
    // Two orders of each of three customers.
    let seen = ask(&mut (2..5).flat_map(|user| [user * 100, user * 100 + 1])).await;
    assert_eq!(seen["errors"], Value::Null, "{seen}");
    for order in seen["data"].as_object().unwrap().values() {
        assert_eq!(order["user"]["id"], order["userId"]);
    }
    assert_eq!(graph.batches(), [3]);
    assert_eq!(graph.goods.calls(), [("orders", 6)]);
    // Who is not there costs the others nothing.
    let seen = ask(&mut [100, 200].into_iter()).await;
    assert_eq!(seen["data"]["o100"]["user"], Value::Null, "{seen}");
    assert!(seen["data"]["o200"]["user"].is_object(), "{seen}");
    assert_eq!(seen["errors"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["errors"][0]["path"], json!(["o100", "user"]));
    assert_eq!(seen["errors"][0]["extensions"]["code"], "not-found");
    assert_eq!(graph.batches(), [2]);
}

/// As many as one query may name: each of them once, in one call. What is missing costs the others nothing.
#[tokio::test]
async fn orders_that_are_named_by_their_ids_are_one_call() {
    let graph = Graph::start().await;
    // Two aliases of each order, and one of no order.
    let ids = (1..=10).chain(1..=10).chain([0]);
    let fields = ids.enumerate().map(|(alias, n)| {
        let id = Uuid::from_u128(n);
        format!("o{alias}: order(id: \"{id}\") {{ id }} ")
    });
    let body = json!({ "query": format!("{{ {} }}", fields.collect::<String>()) });
    let token = token_for(ME, CUSTOMER);
    let seen = graph.post(&body).token(&token).send().await.ok(200);
    assert_eq!(graph.goods.calls(), [("orders", 11)]);
    let errors = seen["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{seen}");
    assert_eq!(errors[0]["path"], json!(["o20"]));
    assert_eq!(errors[0]["extensions"]["code"], "not-found");
    for alias in 0..20_u128 {
        let id = Uuid::from_u128(alias % 10 + 1).to_string();
        assert_eq!(seen["data"][format!("o{alias}")]["id"], id, "{seen}");
    }
}

#[tokio::test]
async fn fields_beside_each_other_share_their_calls() {
    let graph = Graph::start().await;
    let query = format!(
        "{{ a: product(id: \"{0}\") {{ name }} b: product(id: \"{1}\") {{ name }} c: product(id: \"{0}\") {{ name }}
            orders(first: 2) {{ edges {{ node {{ id }} }} }} me {{ orders(first: 2) {{ edges {{ node {{ id }} }} }} }} }}",
        Uuid::from_u128(1),
        Uuid::from_u128(2),
    );
    let seen = graph.ask(&query).await;
    assert_eq!(seen["a"], seen["c"]);
    assert_eq!(seen["orders"], seen["me"]["orders"]);
    let mut calls = graph.goods.calls();
    calls.sort_unstable();
    assert_eq!(calls, [("orders of users", 1), ("products", 2)]);
}

/// Walks a connection to its end, a few items at a time: the ids.
async fn walk(graph: &Graph, list: &str) -> Vec<Value> {
    let (mut ids, mut after) = (Vec::new(), "null".to_owned());
    loop {
        let query = format!(
            "{{ {list}(first: 3, after: {after}) {{ edges {{ cursor node {{ id }} }}
                pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        let seen = graph.ask_as(ADMIN, &query).await;
        let (edges, page) = (
            seen[list]["edges"].as_array().unwrap(),
            &seen[list]["pageInfo"],
        );
        assert!(edges.len() <= 3);
        assert_eq!(page["hasPreviousPage"], after != "null");
        assert_eq!(page["startCursor"], edges[0]["cursor"]);
        assert_eq!(page["endCursor"], edges[edges.len() - 1]["cursor"]);
        ids.extend(edges.iter().map(|edge| edge["node"]["id"].clone()));
        if page["hasNextPage"] == false {
            return ids;
        }
        // Any item's cursor is a place in the list: go on behind the second.
        if ids.len() == 3 {
            ids.pop();
            after = edges[1]["cursor"].to_string();
        } else {
            after = page["endCursor"].to_string();
        }
        assert!(ids.len() < 100, "it does not end");
    }
}

#[tokio::test]
async fn connections_are_walked_by_their_cursors() {
    let listed = FakeUsers {
        listed: 8,
        ..Default::default()
    };
    let graph = Graph::start_with(listed, &[]).await;
    let ids = |ids: &mut dyn Iterator<Item = u128>| -> Vec<Value> {
        ids.map(|n| json!(Uuid::from_u128(n))).collect()
    };
    assert_eq!(walk(&graph, "users").await, ids(&mut (0..8)));
    assert_eq!(walk(&graph, "orders").await, ids(&mut (1..=5).rev()));
    assert_eq!(walk(&graph, "products").await, ids(&mut (1..=GOODS)));
}

#[tokio::test]
async fn each_type_shows_what_it_has() {
    let graph = Graph::start().await;
    let id = Uuid::from_u128(1);
    let query = format!(
        "{{ me {{ id email name createdAt }}
            order(id: \"{id}\") {{ id userId status reason reasonCode total {{ amount currency }} createdAt updatedAt
              items {{ productId quantity unitPrice {{ amount }} product {{ price {{ amount currency }} available }} }} }}
            products(query: \"x\", first: 1) {{ edges {{ node {{ name description available }} }} }} }}"
    );
    let seen = graph.ask(&query).await;
    let me = json!({
        "id": ME, "email": "ann@example.org", "name": "Ann", "createdAt": "2023-11-14T22:13:20.500+00:00",
    });
    assert_eq!(seen["me"], me);
    let product = json!({ "price": { "amount": 250, "currency": "EUR" }, "available": 0 });
    let line = json!({
        "productId": Uuid::from_u128(2), "quantity": 2, "unitPrice": { "amount": 250 }, "product": product,
    });
    assert_eq!(seen["order"]["items"][0], line);
    assert_eq!(seen["order"]["status"], "CONFIRMED");
    assert_eq!(
        seen["order"]["total"],
        json!({ "amount": 1000, "currency": "EUR" })
    );
    for none in ["reason", "reasonCode"] {
        assert_eq!(seen["order"][none], Value::Null);
    }
    let id = Uuid::from_u128(REJECTED);
    let query = format!("{{ order(id: \"{id}\") {{ status reason reasonCode }} }}");
    let rejected = json!({
        "status": "REJECTED", "reason": "only 1 left", "reasonCode": "stock_rejected",
    });
    assert_eq!(graph.ask(&query).await["order"], rejected);
    // Beyond 32 bits.
    let product =
        json!({ "name": "x", "description": "It shines.", "available": 5_000_000_000_u64 });
    assert_eq!(seen["products"]["edges"], json!([{ "node": product }]));
}

#[tokio::test]
async fn each_field_decides_who_may_see_it() {
    let graph = Graph::start().await;
    let (me, admin) = (token_for(ME, CUSTOMER), token_for(Uuid::now_v7(), ADMIN));
    let other = token_for(Uuid::now_v7(), CUSTOMER);
    let forged = Issuer::FORGER.sign(&contracts::identity::REALM.claims(
        ME,
        CUSTOMER,
        std::time::Duration::from_secs(60),
    ));
    let user = format!("{{ user(id: \"{ME}\") {{ id }} }}");
    let order = format!("{{ order(id: \"{ME}\") {{ id }} }}");
    for (field, query) in [
        ("me", "{ me { id } }"),
        ("user", &user),
        ("users", "{ users { edges { cursor } } }"),
        ("order", &order),
        ("orders", "{ orders { edges { cursor } } }"),
    ] {
        assert_eq!(graph.code_of(None, field, query).await, "unauthorized");
        assert_eq!(
            graph.code_of(Some(&forged), field, query).await,
            "unauthorized"
        );
    }
    let users = "{ users { edges { cursor } } }";
    assert_eq!(graph.code_of(Some(&me), "users", users).await, "forbidden");
    assert_eq!(
        graph.code_of(Some(&other), "user", &user).await,
        "not-found"
    );
    for token in [&me, &admin] {
        let answer = graph
            .post(&json!({ "query": user }))
            .token(token)
            .send()
            .await;
        assert_eq!(answer.ok(200)["data"]["user"]["id"], ME.to_string());
    }
    // Nobody was asked for those who may not see it.
    assert_eq!(graph.goods.calls(), []);
    // What is for anybody is there for who has a bad token, too.
    let answer = graph.post(&json!({ "query": "{ products { edges { cursor } } me { id } }" }));
    let answer = answer.token(&forged).send().await.ok(200);
    assert!(answer["data"]["products"].is_object(), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_the_error_of_its_field() {
    let graph = Graph::start().await;
    let me = token_for(ME, ADMIN);
    let nil = Uuid::nil();
    for (field, arguments, code) in [
        ("orders", "first: 0", "bad-request"),
        ("orders", "first: 101", "bad-request"),
        ("orders", "first: -1", "bad-request"),
        // Beyond the 32 bits of an Int.
        ("orders", "first: 3000000000", "bad-request"),
        ("orders", "after: \"x\"", "bad-request"),
        ("products", "first: 101", "bad-request"),
        ("users", "first: 101", "bad-request"),
    ] {
        let query = format!("{{ {field}({arguments}) {{ pageInfo {{ hasNextPage }} }} }}");
        // Of a hundred items, no more is asked than their page.
        assert_eq!(
            graph.code_of(Some(&me), field, &query).await,
            code,
            "{query}"
        );
    }
    for (field, id, code) in [
        ("product", "x", "not-found"),
        ("product", &nil.to_string(), "not-found"),
        ("order", &nil.to_string(), "not-found"),
        ("user", &nil.to_string(), "not-found"),
        ("user", "x", "not-found"),
    ] {
        let query = format!("{{ {field}(id: \"{id}\") {{ id }} }}");
        assert_eq!(
            graph.code_of(Some(&me), field, &query).await,
            code,
            "{query}"
        );
    }
    // A cursor of one list is none of another.
    let seen = graph
        .ask("{ orders(first: 1) { pageInfo { endCursor } } }")
        .await;
    let cursor = &seen["orders"]["pageInfo"]["endCursor"];
    let query = format!("{{ products(after: {cursor}) {{ edges {{ cursor }} }} }}");
    assert_eq!(graph.code_of(None, "products", &query).await, "bad-request");
}
