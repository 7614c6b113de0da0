//! Two versions of the API beside each other.

use contracts::identity::CUSTOMER;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, FakeShop, FakeUsers, TestGateway, start, token_for};

/// A user, of whom the fakes know something.
const ME: Uuid = Uuid::max();

#[tokio::test]
async fn each_version_is_passed_on_to_the_same_version_behind() {
    let gateway = TestGateway::healthy().await;
    for (public, behind) in [
        ("/api/orders/1", "/v1/orders/1"),
        ("/api/v1/orders/1", "/v1/orders/1"),
        ("/api/v2/orders/1", "/v2/orders/1"),
        ("/api/v2/orders/1/cancel?x=1", "/v2/orders/1/cancel?x=1"),
        ("/api/v2/orders/1/events", "/v2/orders/1/events"),
        ("/api/v2/products/1?q=tea", "/v2/products/1?q=tea"),
    ] {
        let seen = gateway.get(public).send().await.ok(200);
        assert_eq!(seen["uri"], behind, "{public}");
    }
}

/// What clients are told by an answer: since when, until when, what follows.
fn announced(answer: &Answer) -> [&str; 3] {
    ["deprecation", "sunset", "link"].map(|name| answer.header(name))
}

#[tokio::test]
async fn the_first_version_says_that_it_goes_and_what_follows() {
    let gateway = TestGateway::healthy().await;
    for (path, successor) in [
        ("/api/orders/1", "/api/v2/orders"),
        ("/api/v1/orders?page_size=1", "/api/v2/orders"),
        ("/api/v1/orders/1/events", "/api/v2/orders"),
        ("/api/products/1", "/api/v2/products"),
        ("/api/v1/products", "/api/v2/products"),
        // Also where it refuses.
        ("/api/v1/users/me", "/api/v2/users"),
        ("/api/users/not-an-id", "/api/v2/users"),
        ("/api/v1/dashboard/not-an-id", "/api/v2/dashboard"),
        ("/api/v1/orders/problem", "/api/v2/orders"),
    ] {
        let answer = gateway.get(path).send().await;
        let link = format!("<{successor}>; rel=\"successor-version\"");
        let expected = ["@1795824000", "Sun, 28 Nov 2027 00:00:00 GMT", &link];
        assert_eq!(announced(&answer), expected, "{path}");
    }
}

/// Whoever refuses: no route, a route that has no such method, the door.
#[tokio::test]
async fn refusals_of_every_layer_say_so_too() {
    let gateway = TestGateway::healthy().await;
    let long = format!("/api/v1/products?q={}", "x".repeat(9_000));
    let coded = gateway.post("/api/sessions").body("x");
    for (call, status) in [
        (gateway.get("/api/v1/users/a/b/c"), 404),
        (gateway.call(Method::DELETE, "/api/v1/sessions"), 405),
        (gateway.get(&long), 414),
        (coded.header("content-encoding", "gzip"), 415),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(announced(&answer)[0], "@1795824000", "{answer:?}");
        assert_eq!(answer.headers.get_all("link").iter().count(), 1);
    }
    let gateway = limited().await;
    let mut refused = gateway.get("/api/v1/products/1").send().await;
    for _ in 0..100 {
        if refused.status == 429 {
            break;
        }
        refused = gateway.get("/api/v1/products/1").send().await;
    }
    assert_eq!(refused.status, 429);
    assert_eq!(announced(&refused)[0], "@1795824000", "{refused:?}");
    // What never was in a version does not go.
    let nothing = gateway.get("/api/v1/nothing").send().await;
    assert_eq!(announced(&nothing), [""; 3]);
}

/// Where who asks too often is refused.
async fn limited() -> TestGateway {
    let (users, _) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    start(users, shop, &["--rate-limit=1"]).await
}

/// No operation says that it goes whose document does not, and the other way round.
#[tokio::test]
async fn documents_and_answers_agree_on_what_is_deprecated() {
    let gateway = TestGateway::healthy().await;
    let token = token_for(ME, CUSTOMER);
    for (version, goes) in [("v1", true), ("v2", false)] {
        let document = gateway.get(&format!("/openapi.json?version={version}"));
        let document = document.send().await.ok(200);
        let mut deprecated = 0;
        for (path, method, operation) in chassis::openapi::operations(&document) {
            let at = format!("{method} {path}");
            let called = path
                .replace("{id}", &ME.to_string())
                .replace("{user_id}", &ME.to_string());
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = gateway.call(method, &called).token(&token).send().await;
            let marked = operation["deprecated"] == true;
            let says = announced(&answer).map(|value| !value.is_empty());
            assert_eq!(says, [marked; 3], "{at}: {answer:?}");
            deprecated += i32::from(marked);
        }
        assert_eq!(deprecated > 10, goes, "{version}");
    }
    // The keys are of no version.
    let keys = gateway.get("/.well-known/jwks.json").send().await;
    assert_eq!(announced(&keys), [""; 3]);
}

/// A prefix that only the first version has does not go.
#[tokio::test]
async fn what_has_no_successor_does_not_go() {
    let (users, _) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    let routes = [
        "--gateway-routes=/goods=products:/v1/products,/orders=orders:/v1/orders",
        "--gateway-routes-v2=/orders=orders:/v2/orders",
    ];
    let gateway = start(users, shop, &routes).await;
    let goods = gateway.get("/api/v1/goods/1").send().await;
    assert_eq!((goods.status.as_u16(), announced(&goods)), (200, [""; 3]));
    let orders = gateway.get("/api/v1/orders/1").send().await;
    assert_eq!(announced(&orders)[0], "@1795824000");
    let document = gateway.get("/openapi.json").send().await.ok(200);
    let paths = &document["paths"];
    assert_eq!(
        paths["/api/v1/goods/{id}"]["get"]["deprecated"],
        Value::Null
    );
    assert_eq!(paths["/api/v1/orders/{id}"]["get"]["deprecated"], true);
}

async fn with_a_shop() -> (TestGateway, Vec<Uuid>) {
    let goods: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let shop = FakeShop {
        ordered: vec![goods[1]],
        for_sale: goods.iter().map(|id| (*id, 1)).collect(),
    };
    let (users, _) = FakeUsers::default().serve().await;
    (start(users, shop.serve().await, &[]).await, goods)
}

#[tokio::test]
async fn the_dashboard_of_version_2_has_its_money_and_reasons() {
    let (gateway, goods) = with_a_shop().await;
    let dashboard = gateway.get(&format!("/api/v2/dashboard/{ME}"));
    let token = token_for(ME, CUSTOMER);
    let seen = dashboard.token(&token).send().await.ok(200);
    let price = json!({"amount": 250, "currency": "EUR"});
    assert_eq!(
        (&seen["partial"], &seen["errors"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(seen["user"]["id"], ME.to_string());
    assert_eq!(seen["orders"][0]["total"], price);
    assert_eq!(seen["orders"][0]["reason"]["code"], "stock_rejected");
    assert_eq!(seen["orders"][0]["shipping_address"]["city"], "London");
    // What was bought is not recommended.
    let recommended = seen["recommended"].as_array().unwrap();
    let ids: Vec<_> = recommended.iter().map(|product| &product["id"]).collect();
    assert_eq!(json!(ids), json!([goods[0], goods[2]]));
    assert_eq!(recommended[0]["price"], price);
}

#[tokio::test]
async fn the_orders_of_a_user_come_in_the_form_of_version_2() {
    let (gateway, _) = with_a_shop().await;
    let token = token_for(ME, CUSTOMER);
    let path = format!("/api/v2/users/{ME}/orders");
    let query = "page_size=7&page_token=xyz";
    let page = gateway.get(&format!("{path}?{query}"));
    let page = page.token(&token).send().await.ok(200);
    assert_eq!(page["next_page_token"], query, "what orders was asked for");
    assert_eq!(page["orders"][0]["total"]["amount"], 250);
    assert_eq!(page["orders"][0]["shipping_address"]["country"], "GB");

    let bad = gateway.get(&format!("{path}?page_size=0"));
    bad.token(&token).send().await.problem(400, &path);
    gateway.get(&path).send().await.problem(401, &path);
    let others = format!("/api/v2/users/{}/orders", Uuid::from_u128(1));
    let others_are = gateway.get(&others).token(&token);
    others_are.send().await.problem(404, &others);
}
