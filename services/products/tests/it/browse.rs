//! `GET /v1/products`: pages, search, and what is refused.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::page::List;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::TestApp;
use crate::goods::{KETTLE, RADIO, SORTS};

/// The ids on all pages, in the order in which they came.
async fn walk(app: &TestApp, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let reply = app.get(&format!("/v1/products?{query}{token}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        ids.extend(ids_of(&reply.body));
        match reply.body["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => return ids,
        }
        assert!(ids.len() <= SORTS, "it does not end: {ids:?}");
    }
}

fn ids_of(page: &Value) -> Vec<String> {
    let products = page["products"].as_array().unwrap();
    products
        .iter()
        .map(|p| p["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn names(app: &TestApp, query: &str) -> Vec<String> {
    let reply = app.get(&format!("/v1/products?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let products = reply.body["products"].as_array().unwrap();
    products
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_is_on_one_page() {
    let app = TestApp::start().await;
    let all = walk(&app, "page_size=100").await;
    assert_eq!(all.len(), SORTS);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), SORTS);
    // A page that ends with the last product, one that does not, and the default.
    for query in [
        "page_size=1",
        "page_size=7",
        "page_size=8",
        "page_size=24",
        "",
    ] {
        assert_eq!(walk(&app, query).await, all, "{query}");
    }
    assert_eq!(ids_of(&app.get("/v1/products").await.body).len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_appears_meanwhile_repeats_nothing() {
    let app = TestApp::start().await;
    let first = app.get("/v1/products?page_size=5").await.body;
    let token = first["next_page_token"].as_str().unwrap();
    // Before everything that was shown: with OFFSET, the next page would show the fifth again.
    sqlx::query("INSERT INTO products (id, name, description, price, available) VALUES ($1, 'New', '', 1, 1)")
        .bind(Uuid::from_u128(1))
        .execute(&app.db)
        .await
        .unwrap();
    let second = app
        .get(&format!("/v1/products?page_size=5&page_token={token}"))
        .await
        .body;
    assert!(
        ids_of(&second)
            .iter()
            .all(|id| !ids_of(&first).contains(id))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_names_and_descriptions() {
    let app = TestApp::start().await;
    assert_eq!(names(&app, "q=kEtTlE").await, ["Copper Kettle"]);
    assert_eq!(names(&app, "q=minor+third").await, ["Copper Kettle"]);
    assert_eq!(names(&app, "q=%20kettle%20").await, ["Copper Kettle"]);
    assert!(names(&app, "q=no+such+thing").await.is_empty());
    assert_eq!(
        names(&app, "q=leather").await,
        ["Canvas Rucksack", "Leather Dog Lead"]
    );
    assert_eq!(walk(&app, "q=leather&page_size=1").await.len(), 2);
    assert_eq!(walk(&app, "q=").await.len(), SORTS);
    // What LIKE gives a meaning to stands for itself: "100%" is in one description only, and neither
    // "_" nor a backslash is anywhere.
    assert_eq!(names(&app, "q=100%25").await, ["Merino Socks"]);
    assert!(names(&app, "q=k_ttle").await.is_empty());
    assert!(names(&app, "q=%5C").await.is_empty());
    assert!(names(&app, "q=%25%25").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused() {
    let app = TestApp::start().await;
    let problem = |query: String| {
        let app = &app;
        async move {
            app.get(&format!("/v1/products?{query}"))
                .await
                .expect_problem(400)
        }
    };
    for size in ["0", "-1", "101", "many", "", "1e1", "99999999999999999999"] {
        let problem = problem(format!("page_size={size}")).await;
        assert!(
            problem["detail"].as_str().unwrap().contains("page_size"),
            "{size}: {problem}"
        );
    }
    for q in ["%00", "a%0Ab", "%FF", &"k".repeat(101)] {
        let problem = problem(format!("q={q}")).await;
        assert!(
            problem["detail"].as_str().unwrap().contains('q'),
            "{q}: {problem}"
        );
    }
    assert!(
        names(&app, &format!("q={}", "%C3%BC".repeat(100)))
            .await
            .is_empty()
    );
    // As orders gives them out, and as the release before gave them out.
    let orders = List::<Uuid>::new("orders.1").token(&Uuid::nil()).unwrap();
    let old = URL_SAFE_NO_PAD.encode(json!({"after": Uuid::nil(), "q": ""}).to_string());
    for token in ["nonsense", "bnVsbA", "e30", "%FF%00", &orders, &old] {
        let problem = problem(format!("page_token={token}")).await;
        assert!(
            problem["detail"].as_str().unwrap().contains("page_token"),
            "{token}: {problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_token_is_the_first_page() {
    let app = TestApp::start().await;
    let first = app.get("/v1/products?page_size=5").await.body;
    let empty = app.get("/v1/products?page_size=5&page_token=").await;
    assert_eq!((empty.status, empty.body), (StatusCode::OK, first));
}

/// However long the search, its tokens are short enough to be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_search_has_a_second_page() {
    let app = TestApp::start().await;
    let name = "𝔸".repeat(100);
    for n in 1..=2 {
        let sql = "INSERT INTO products (id, name, description, price, available) VALUES ($1, $2, '', 1, 1)";
        let insert = sqlx::query(sql).bind(Uuid::from_u128(n)).bind(&name);
        insert.execute(&app.db).await.unwrap();
    }
    let query = format!("page_size=1&q={}", "%F0%9D%94%B8".repeat(100));
    assert_eq!(walk(&app, &query).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_belongs_to_its_search() {
    let app = TestApp::start().await;
    let page = app.get("/v1/products?page_size=1&q=leather").await.body;
    let token = page["next_page_token"].as_str().unwrap();
    for other in ["", "q=kettle&", "q=leather+lead&"] {
        let reply = app
            .get(&format!("/v1/products?{other}page_token={token}"))
            .await;
        let problem = reply.expect_problem(400);
        assert!(
            problem["detail"].as_str().unwrap().contains("page_token"),
            "{problem}"
        );
    }
    // Another size of the page is the same list.
    assert_eq!(
        app.get(&format!(
            "/v1/products?page_size=2&q=leather&page_token={token}"
        ))
        .await
        .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_is_found_by_its_id() {
    let app = TestApp::start().await;
    let reply = app.get(&format!("/v1/products/{KETTLE}")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let product = reply.body;
    assert_eq!(product["id"], KETTLE.to_string());
    assert_eq!(product["name"], "Copper Kettle");
    assert_eq!(product["price"], 8900);
    assert_eq!(product["currency"], "EUR");
    assert_eq!(product["available"], 240);
    for unknown in [
        Uuid::now_v7().to_string(),
        "nonsense".to_owned(),
        "%FF".to_owned(),
    ] {
        let reply = app.get(&format!("/v1/products/{unknown}")).await;
        let status = reply.status.as_u16();
        // Bytes that are no text may be called unreadable; a text that is no id is the id of nothing.
        assert!(
            status == 404 || unknown == "%FF" && status == 400,
            "{unknown}: {reply:?}"
        );
        reply.expect_problem(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_leaves_stock_and_prices_as_they_are() {
    let app = TestApp::start().await;
    app.stock(RADIO, 1).await;
    sqlx::query("UPDATE products SET price = 1 WHERE id = $1")
        .bind(KETTLE)
        .execute(&app.db)
        .await
        .unwrap();
    let app = app.crash_and_restart().await;
    assert_eq!(app.available(RADIO).await, 1);
    assert_eq!(
        app.get(&format!("/v1/products/{KETTLE}")).await.body["price"],
        1
    );
    assert_eq!(walk(&app, "").await.len(), SORTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_begin_behind_any_product() {
    let app = TestApp::start().await;
    let all = walk(&app, "page_size=100").await;
    let behind = |id: &str| format!("/v1/products?page_size=3&after={id}");
    let page = app.get(&behind(&all[4])).await.body;
    assert_eq!(ids_of(&page), all[5..8]);
    // An empty token is none.
    let path = format!("{}&page_token=", behind(&all[4]));
    assert_eq!(ids_of(&app.get(&path).await.body), all[5..8]);
    // In a search, too: the product itself need not be found by it.
    let leather = walk(&app, "q=leather").await;
    let path = format!("/v1/products?q=leather&after={}", leather[0]);
    assert_eq!(ids_of(&app.get(&path).await.body), leather[1..]);

    let token = page["next_page_token"].as_str().unwrap();
    for query in [
        "after=x".to_owned(),
        format!("after={}&page_token={token}", all[0]),
    ] {
        let path = format!("/v1/products?{query}");
        app.get(&path).await.expect_problem(400);
    }
}
