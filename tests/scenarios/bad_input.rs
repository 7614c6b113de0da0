//! Everything that a client can get wrong: the documented 4xx problem, never a 5xx, never a panic.

use scenarios::shop::one_line;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::Open;

/// Larger than any body that is accepted, in bytes.
const TOO_LARGE: usize = 2 * 1024 * 1024;

/// Accepted as a body, and far too long for any field of it, in bytes.
const LARGE: usize = 900 * 1024;

pub(crate) fn gets_its_documented_answer(open: &Open<'_>) {
    let shop = open.shop();
    let (product, _) = open.product(10);
    let customer = shop.customer();
    let bearer = format!("Bearer {}", customer.token);
    let json_type = ("content-type", "application/json");
    let raw = |method: &str, path: &str, more: &[(&str, &str)], body: Option<&[u8]>| {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        let answer = shop.call(method, path, &headers, body);
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    };
    let post = |path: &str, body: &str| raw("POST", path, &[json_type], Some(body.as_bytes()));

    for path in [
        "/page/nothing.js",
        "/nowhere",
        "/api",
        "/api/nowhere",
        "/api/v9/orders",
        "/api/orders/a/b/c",
    ] {
        let _ = raw("GET", path, &[], None).expect_problem(404);
    }
    for (method, path) in [
        ("PUT", "/api/orders"),
        ("DELETE", "/api/users"),
        ("PATCH", "/api/sessions"),
    ] {
        let answer = raw(method, path, &[], None);
        assert!(
            answer.header("allow").is_some(),
            "a 405 says what is allowed: {answer:?}"
        );
        let _ = answer.expect_problem(405);
    }
    for path in ["/api/orders", "/api/users", "/api/sessions"] {
        let _ = post(path, "{\"broken\": ").expect_problem(400);
        let _ = raw(
            "POST",
            path,
            &[json_type],
            Some(b"{\"email\": \"\xff\xfe\"}"),
        )
        .expect_problem(400);
        let _ =
            raw("POST", path, &[("content-type", "text/plain")], Some(b"{}")).expect_problem(415);
        let _ = post(path, "[1, 2]").expect_problem(422);
        let _ = post(path, "{}").expect_problem(422);
        let large = json!({"email": "x".repeat(TOO_LARGE)}).to_string();
        let _ = post(path, &large).expect_problem(413);
    }

    let bad_orders = [
        (json!({"items": []}), "/items"),
        (json!({"items": "all of them"}), "/items"),
        (
            json!({"items": [{"product_id": product}]}),
            "/items/0/quantity",
        ),
        (
            json!({"items": [{"product_id": product, "quantity": "two"}]}),
            "/items/0/quantity",
        ),
        (one_line(&product, 0), "/items/0/quantity"),
        (one_line(&product, -1), "/items/0/quantity"),
        (one_line(&product, 1_000_000), "/items/0/quantity"),
        (one_line(&product, i64::MAX), "/items/0/quantity"),
        (
            json!({"items": [{"product_id": product, "quantity": 1e300}]}),
            "/items/0/quantity",
        ),
        (
            json!({"items": [{"product_id": product, "quantity": 1.5}]}),
            "/items/0/quantity",
        ),
        (
            json!({"items": [{"product_id": null}]}),
            "/items/0/quantity",
        ),
        (one_line("not-a-uuid", 1), "/items/0/product_id"),
        (
            one_line(&Uuid::now_v7().to_string(), 1),
            "/items/0/product_id",
        ),
        (
            json!({"items": vec![json!({"product_id": product, "quantity": 1}); 51]}),
            "/items",
        ),
    ];
    for (body, pointer) in bad_orders {
        let answer = post("/api/orders", &body.to_string());
        let body = body.to_string().chars().take(200).collect::<String>();
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        let named = pointers(&answer.json);
        assert!(named.contains(&pointer), "{body}: {pointer} in {named:?}");
        let _ = answer.expect_problem(422);
    }
    let huge = "x".repeat(LARGE);
    for (path, wrong, all) in [
        (
            "/api/users",
            r#"{"email": "nonsense", "name": "", "password": "short"}"#,
            &["/email", "/name", "/password"][..],
        ),
        (
            "/api/users",
            r#"{"email": 1, "name": null}"#,
            &["/email", "/name", "/password"],
        ),
        (
            "/api/users",
            &json!({"email": "a@b.example", "name": huge, "password": "long enough"}).to_string(),
            &["/name"],
        ),
        (
            "/api/users",
            &json!({"email": "a@b.example", "name": "A", "password": huge}).to_string(),
            &["/password"],
        ),
        (
            "/api/sessions",
            r#"{"email": []}"#,
            &["/email", "/password"],
        ),
        (
            "/api/orders",
            r#"{"items": [], "items": []}"#,
            &["/items", "/items"],
        ),
    ] {
        let answer = post(path, wrong).expect_problem(422);
        let mut named = pointers(&answer.json);
        named.sort_unstable();
        assert_eq!(named, all, "all of them, not the first");
    }

    let orders = format!("/api/users/{}/orders", customer.id);
    let products = raw("GET", "/api/products?page_size=1", &[], None).expect(200);
    let token = |page: &Value| {
        format!(
            "page_token={}",
            page["next_page_token"].as_str().unwrap_or_default()
        )
    };
    let of_products = token(&products.json);
    for (list, foreign) in [
        ("/api/products", "page_token=WyJvcmRlcnMuMSIsMV0".to_owned()),
        (orders.as_str(), of_products),
    ] {
        let first = raw("GET", list, &[], None).expect(200);
        let empty = raw("GET", &format!("{list}?page_token="), &[], None).expect(200);
        assert_eq!(first.json, empty.json, "{list}");
        for query in [
            "page_token=nonsense",
            "page_size=0",
            "page_size=-1",
            "page_size=many",
            "page_size=100000",
            &foreign,
        ] {
            let answer = raw("GET", &format!("{list}?{query}"), &[], None);
            assert_eq!(answer.status, 400, "{list}?{query}: {answer:?}");
            let _ = answer.expect_problem(400);
        }
    }
    let coded = [json_type, ("content-encoding", "gzip")];
    let coded = raw("POST", "/api/orders", &coded, Some(b"{}")).expect_problem(415);
    assert_eq!(coded.header("accept-encoding"), Some("identity"));
    let _ = raw("TRACE", "/api/orders", &[], None).expect_problem(405);
    for path in [
        "/api/products/nonsense",
        "/api/orders/nonsense",
        "/api/users/nonsense",
        "/api/dashboard/nonsense",
    ] {
        let _ = raw("GET", path, &[], None).expect_problem(404);
    }
    for path in [
        "/api/products/%FF%FE",
        "/api/orders/%FF",
        "/api/products?q=%FF",
    ] {
        let answer = raw("GET", path, &[], None);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        let status = answer.status;
        let _ = answer.expect_problem(status);
    }
    let long = "k".repeat(256);
    for key in ["", long.as_str(), "two\twords"] {
        let headers = [json_type, ("idempotency-key", key)];
        let body = one_line(&product, 1).to_string();
        let _ = raw("POST", "/api/orders", &headers, Some(body.as_bytes())).expect_problem(400);
    }
    // After all of this it still works.
    let _ = shop.order(&customer, &product, 1).expect(201);
}

pub(crate) fn duplicate_email_is_a_conflict(open: &Open<'_>) {
    let shop = open.shop();
    let customer = shop.customer();
    for email in [customer.email.clone(), customer.email.to_uppercase()] {
        let body = json!({"email": email, "name": "Somebody Else", "password": "another password"});
        let _ = shop.post("/api/users", None, &body).expect_problem(409);
    }
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"]
        .as_array()
        .map_or(&[] as &[Value], Vec::as_slice);
    errors
        .iter()
        .filter_map(|e| e["pointer"].as_str())
        .collect()
}
