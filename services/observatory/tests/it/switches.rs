//! Switches are for pages of the observatory's own host.

use axum::http::Method;

use crate::support::{Observatory, port, records};

const RULES: &str = r#"{"rules": []}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn only_its_own_page_presses_a_switch() {
    let (at, asked) = port(|| records(&[]), RULES).await;
    let observatory = Observatory::start(&format!("orders=http://{at}")).await;
    let own = format!("http://{}", observatory.at);
    let origin = ("origin", own.as_str());
    let put = async |headers: &[(&str, &str)]| {
        observatory
            .ask("PUT", "/v1/faults/orders", headers, RULES)
            .await
            .0
    };
    assert_eq!(put(&[JSON]).await, 403, "no page");
    assert_eq!(put(&[JSON, ("origin", "null")]).await, 403);
    assert_eq!(put(&[JSON, ("origin", "http://evil.example")]).await, 403);
    let rebound = [
        JSON,
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
    ];
    assert_eq!(put(&rebound).await, 403, "a name that leads here");
    for form in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
    ] {
        assert_eq!(put(&[("content-type", form), origin]).await, 403, "{form}");
    }
    let (read, _) = observatory
        .ask("GET", "/v1/traces", &[("host", "evil.example")], "")
        .await;
    assert_eq!(read, 403);
    let pressed = || {
        let asked = asked.lock();
        let faults = asked.iter().filter(|(_, path, _)| path == "/faults");
        faults
            .map(|(method, _, body)| (method.clone(), body.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(pressed(), [], "none of them got through");

    assert_eq!(put(&[JSON, origin]).await, 200);
    let (unknown, _) = observatory
        .ask("PUT", "/v1/faults/mars", &[JSON, origin], RULES)
        .await;
    assert_eq!(unknown, 404);
    let (mended, _) = observatory.ask("DELETE", "/v1/faults", &[origin], "").await;
    assert_eq!(mended, 204);
    let put = (Method::PUT, RULES.replace(' ', ""));
    assert_eq!(pressed(), [put, (Method::DELETE, String::new())]);
}
