//! What is passed on, and what comes back.

use http::Method;
use serde_json::json;

use crate::support::TestGateway;

#[tokio::test]
async fn a_request_is_passed_on_whole() {
    let gateway = TestGateway::healthy().await;
    for root in ["/api", "/api/v1"] {
        let path = format!("{root}/orders/1/cancel?why=a%20b&x=1");
        let answer = gateway
            .call(Method::PUT, &path)
            .header("idempotency-key", "k1")
            .json(&json!({ "a": 1 }))
            .send()
            .await;
        let seen = answer.ok(200);
        assert_eq!(
            (&seen["method"], &seen["uri"]),
            (&json!("PUT"), &json!("/v1/orders/1/cancel?why=a%20b&x=1"))
        );
        assert_eq!(seen["body"], "{\"a\":1}");
        assert_eq!(
            (
                &seen["headers"]["idempotency-key"],
                &seen["headers"]["content-length"]
            ),
            (&json!("k1"), &json!("7"))
        );
        assert_eq!(answer.header("x-from"), "shop");
    }
    assert_eq!(
        gateway.get("/api/products/9").send().await.ok(200)["uri"],
        "/v1/products/9"
    );
    assert_eq!(
        gateway.get("/api/orders").send().await.ok(200)["uri"],
        "/v1/orders"
    );
    assert_eq!(
        gateway.get("/api/orders?page_size=3").send().await.ok(200)["uri"],
        "/v1/orders?page_size=3"
    );
}

#[tokio::test]
async fn the_service_behind_learns_who_asked_for_what() {
    let gateway = TestGateway::healthy().await;
    let seen = gateway
        .get("/api/orders/1?x=1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .send()
        .await
        .ok(200);
    let header = |name: &str| {
        seen["headers"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x-forwarded-host"), gateway.address.to_string());
    assert_ne!(header("host"), gateway.address.to_string());
}

#[tokio::test]
async fn headers_of_one_connection_do_not_pass() {
    let gateway = TestGateway::healthy().await;
    let answer = gateway
        .get("/api/orders/1")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "secret")
        .send()
        .await;
    let seen = answer.ok(200);
    for name in ["x-mine", "te", "proxy-authorization", "connection"] {
        assert!(seen["headers"][name].is_null(), "{name}: {seen}");
    }
    assert_eq!(
        (answer.header("x-hop"), answer.header("connection")),
        ("", "")
    );
}

#[tokio::test]
async fn location_leads_back_through_the_gateway() {
    let gateway = TestGateway::healthy().await;
    for root in ["/api", "/api/v1"] {
        let answer = gateway.post(&format!("{root}/orders")).send().await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("location"), format!("{root}/orders/17"));
        let answer = gateway.get(&format!("{root}/orders/absolute")).send().await;
        assert_eq!(answer.header("location"), format!("{root}/orders/17"));
    }
}

#[tokio::test]
async fn a_problem_from_behind_names_the_path_that_the_client_used() {
    let gateway = TestGateway::healthy().await;
    let answer = gateway.get("/api/v1/orders/problem?x=1").send().await;
    let problem = answer.problem(422, "/api/v1/orders/problem");
    assert_eq!(
        problem["errors"],
        json!([{ "pointer": "/items/0/quantity", "detail": "at least 1" }])
    );
}

#[tokio::test]
async fn a_path_cannot_climb_out_of_its_route() {
    let gateway = TestGateway::healthy().await;
    for path in [
        "/api/orders/../users/1/orders",
        "/api/orders/%2e%2e/users/1/orders",
        "/api/orders/.%2E",
    ] {
        gateway.get(path).send().await.problem(404, path);
    }
}

#[tokio::test]
async fn the_service_behind_learns_how_long_it_is_waited_for() {
    let gateway = TestGateway::healthy().await;
    // What a client asks for, and the most that the service behind hears of, in milliseconds.
    for (asked, most) in [
        (None, 15_000),
        (Some("800"), 1_000),
        (Some("1500"), 1_500),
        (Some("99999999"), 15_000),
        (Some("for ever"), 15_000),
    ] {
        // On a busy machine a call with little time may be too late.
        let mut tries = 0..50;
        let seen = loop {
            tries.next().expect("a call in time");
            let mut request = gateway.get("/api/orders/1");
            if let Some(asked) = asked {
                request = request.header("x-request-timeout-ms", asked);
            }
            let answer = request.send().await;
            if answer.status != 504 {
                break answer.ok(200);
            }
        };
        let told: u64 = seen["headers"]["x-request-timeout-ms"]
            .as_str()
            .and_then(|told| told.parse().ok())
            .unwrap_or_else(|| panic!("{seen}"));
        assert!((1..=most).contains(&told), "{asked:?}: {told}");
    }
}
