//! Lists of orders.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::page::List;
use contracts::testing::{admin, customer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::World;

/// The ids of a page, and the token of the next one.
fn page(json: &Value) -> (Vec<Uuid>, Option<String>) {
    let ids = json["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(crate::app::id)
        .collect();
    (ids, json["next_page_token"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_newest_first_and_complete() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let mut placed = Vec::new();
    for n in 1..=7 {
        placed.push(orders.place(&buyer, lamp, n).await);
        orders.place(&customer(), lamp, 1).await;
    }
    placed.reverse();

    for path in [
        "/v1/orders".to_owned(),
        format!("/v1/users/{}/orders", buyer.id),
    ] {
        let mut seen = Vec::new();
        let mut token = None;
        loop {
            let next = token
                .map(|token| format!("&page_token={token}"))
                .unwrap_or_default();
            let answer = orders
                .get(&buyer, &format!("{path}?page_size=3{next}"))
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let (ids, next) = page(&answer.json());
            assert!(ids.len() == 3 || next.is_none());
            seen.extend(ids);
            // One that comes in while somebody pages neither repeats nor hides another.
            orders.place(&buyer, lamp, 1).await;
            token = next;
            if token.is_none() {
                break;
            }
        }
        // The new ones of the round before are seen first in the next.
        assert_eq!(seen[seen.len() - 7..], placed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_last_page_says_that_it_is_the_last() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let empty = orders.get(&buyer, "/v1/orders").await.json();
    assert_eq!(page(&empty), (vec![], None));
    for _ in 0..2 {
        orders.place(&buyer, lamp, 1).await;
    }
    let json = orders.get(&buyer, "/v1/orders?page_size=2").await.json();
    assert_eq!(page(&json).1, None);
    assert_eq!(json["next_page_token"], Value::Null);
    assert_eq!(json["orders"][0]["items"][0]["unit_price"], 100);
    // Clients pass on what they were given, also when it was nothing.
    let same = orders
        .get(&buyer, "/v1/orders?page_size=2&page_token=")
        .await
        .json();
    assert_eq!(same, json);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_tokens_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let buyer = customer();
    for size in ["0", "-1", "101", "many", "1.5", "99999999999999999999", ""] {
        let answer = orders
            .get(&buyer, &format!("/v1/orders?page_size={size}"))
            .await;
        answer.assert_problem(400);
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("page_size"),
            "{answer:?}"
        );
    }
    // As products gives them out, and as the release before gave them out.
    let products = List::<Value>::new("products.1")
        .token(&json!({"after": Uuid::nil(), "search": 0}))
        .unwrap();
    let old = URL_SAFE_NO_PAD.encode(json!({"after": Uuid::nil()}).to_string());
    let other = List::<Uuid>::new("orders.0").token(&Uuid::nil()).unwrap();
    for token in [
        "x",
        "e30",
        "%00",
        "bm90IGpzb24",
        &"A".repeat(4000),
        &products,
        &old,
        &other,
    ] {
        for path in [
            "/v1/orders".to_owned(),
            format!("/v1/users/{}/orders", buyer.id),
        ] {
            let answer = orders
                .get(&buyer, &format!("{path}?page_token={token}"))
                .await;
            answer.assert_problem(400);
            assert!(
                answer.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("page_token"),
                "{answer:?}"
            );
        }
    }
    assert_eq!(
        orders.get(&buyer, "/v1/orders?page_size=100").await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_and_admins_see_a_list() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let path = format!("/v1/users/{}/orders", buyer.id);
    assert_eq!(page(&orders.get(&buyer, &path).await.json()).0, [order_id]);
    assert_eq!(
        page(&orders.get(&admin(), &path).await.json()).0,
        [order_id]
    );
    let other = customer();
    orders.get(&other, &path).await.assert_problem(404);
    assert!(
        page(&orders.get(&other, "/v1/orders").await.json())
            .0
            .is_empty()
    );
    // A page token shows nobody else's orders.
    orders.place(&buyer, lamp, 1).await;
    let (_, token) = page(&orders.get(&buyer, "/v1/orders?page_size=1").await.json());
    let stolen = format!("/v1/orders?page_token={}", token.unwrap());
    assert!(page(&orders.get(&other, &stolen).await.json()).0.is_empty());
}

/// What `GET /v1/users/orders` and the same of version 2 answer: whose orders, which, and whether there are more.
fn pages(json: &Value) -> Vec<(String, Vec<Uuid>, bool)> {
    let users = json["users"].as_array().unwrap();
    let user = |user: &Value| {
        let ids = page(user).0;
        let id = user["user_id"].as_str().unwrap().to_owned();
        (id, ids, user["more"].as_bool().unwrap())
    };
    users.iter().map(user).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_several_users_come_in_one_call() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (one, two, none, lamp) = (customer(), customer(), customer(), world.catalog.product(1));
    let mut first = Vec::new();
    for _ in 0..3 {
        first.insert(0, orders.place(&one, lamp, 1).await);
        orders.place(&customer(), lamp, 1).await;
    }
    let second = vec![orders.place(&two, lamp, 1).await];

    // In the order asked for, each user once.
    let ids = format!("{},{},{},{}", two.id, one.id, none.id, two.id);
    let path = format!("/v1/users/orders?ids={ids}&page_size=2");
    let json = orders.get(&admin(), &path).await.json();
    let second_version = orders
        .get(&admin(), &path.replace("/v1/", "/v2/"))
        .await
        .json();
    let expected = vec![
        (two.id.to_string(), second, false),
        (one.id.to_string(), first[..2].to_vec(), true),
        (none.id.to_string(), vec![], false),
    ];
    assert_eq!(pages(&json), expected);
    assert_eq!(pages(&second_version), expected);
    // Each in its form.
    let total = |json: &Value| json["users"][0]["orders"][0]["total"]["currency"].clone();
    assert_eq!(
        (total(&json), total(&second_version)),
        (Value::Null, "EUR".into())
    );

    // The next page begins behind the last one.
    let path = format!(
        "/v1/users/orders?ids={}&page_size=2&before={}",
        one.id, first[1]
    );
    let json = orders.get(&one, &path).await.json();
    assert_eq!(
        pages(&json),
        [(one.id.to_string(), first[2..].to_vec(), false)]
    );

    // Each user is authorized by itself.
    let path = format!("/v1/users/orders?ids={ids}");
    let json = orders.get(&one, &path).await.json();
    assert_eq!(pages(&json), [(one.id.to_string(), first, false)]);
    let json = orders.get(&customer(), &path).await.json();
    assert_eq!(pages(&json), []);
    assert_eq!(orders.send("GET", &path, &[], "").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_orders_come_in_one_call() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (one, two, lamp) = (customer(), customer(), world.catalog.product(1));
    let (first, second) = (
        orders.place(&one, lamp, 1).await,
        orders.place(&one, lamp, 1).await,
    );
    let of_two = orders.place(&two, lamp, 1).await;
    let missing = Uuid::now_v7();
    let path = format!("/v2/batch/orders?ids={second},{of_two},{missing},{first},{second}");

    // In the order asked for, each once; each is authorized by itself.
    for (caller, expected) in [
        (admin(), vec![second, of_two, first]),
        (one, vec![second, first]),
        (two, vec![of_two]),
        (customer(), vec![]),
    ] {
        let json = orders.get(&caller, &path).await.json();
        assert_eq!(page(&json).0, expected);
    }
    assert_eq!(orders.send("GET", &path, &[], "").await.status, 401);

    let ids = |count: u128| {
        let ids: Vec<_> = (0..count).map(|n| Uuid::from_u128(n).to_string()).collect();
        format!("?ids={}", ids.join(","))
    };
    for (query, status) in [
        (ids(100), 200),
        (ids(101), 400),
        ("?ids=1".to_owned(), 400),
        (String::new(), 400),
    ] {
        let answer = orders
            .get(&admin(), &format!("/v2/batch/orders{query}"))
            .await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_answers_a_bounded_number_of_orders() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let ids = |count: u128| {
        let ids: Vec<_> = (0..count).map(|n| Uuid::from_u128(n).to_string()).collect();
        ids.join(",")
    };
    for (query, status) in [
        (format!("ids={}&page_size=10", ids(100)), 200),
        (format!("ids={}&page_size=1", ids(101)), 400),
        (format!("ids={}&page_size=11", ids(100)), 400),
        (format!("ids={}&page_size=100", ids(10)), 200),
        (format!("ids={}&page_size=101", ids(1)), 400),
        (format!("ids={}&before=x", ids(1)), 400),
        ("ids=1,2".to_owned(), 400),
        ("ids=".to_owned(), 400),
        (String::new(), 400),
    ] {
        for version in ["v1", "v2"] {
            let path = format!("/{version}/users/orders?{query}");
            let answer = orders.get(&admin(), &path).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
}
