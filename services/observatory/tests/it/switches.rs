//! Switches are for pages of the observatory's own host, and all of it for those who have its token.

use axum::http::Method;
use chassis::Shutdown;
use observatory::{Config, Listeners};
use serde_json::{Value, json};

use crate::support::{Observatory, port, records, until};

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

/// What a service is told, in the order in which it was told.
fn told(asked: &[(Method, String, String)]) -> Vec<(Method, Value)> {
    let changes = asked.iter().filter(|(method, ..)| *method != Method::GET);
    let json = |body: &str| serde_json::from_str(body).unwrap_or_default();
    changes
        .map(|(method, _, body)| (method.clone(), json(body)))
        .collect()
}

#[tokio::test]
async fn a_change_of_one_rule_leaves_what_others_have_set() {
    const SET: &str = r#"{"rules": [{"target": "users", "kind": "hang", "percent": 100, "broken": 3},
        {"target": "orders", "kind": "hang", "percent": 100, "broken": 7}]}"#;
    let (at, asked) = port(|| records(&[]), SET).await;
    let observatory = Observatory::start(&format!("gateway=http://{at}")).await;
    let own = format!("http://{}", observatory.at);
    let press = async |method: &str, headers: &[(&str, &str)], body: &str| {
        let path = "/v1/faults/gateway/orders";
        observatory.ask(method, path, headers, body).await.0
    };
    let page = [JSON, ("origin", own.as_str())];
    const FAIL: &str = r#"{"kind": "fail", "percent": 30}"#;
    assert_eq!(press("PUT", &[JSON], FAIL).await, 403, "no page");
    assert_eq!(press("DELETE", &[], "").await, 403, "no page");
    assert_eq!(press("PUT", &page, "[7]").await, 400, "no rule");
    assert_eq!(told(&asked.lock()), []);

    assert_eq!(press("PUT", &page, FAIL).await, 200);
    assert_eq!(press("DELETE", &page[1..], "").await, 200);
    let users = json!({"target": "users", "kind": "hang", "percent": 100, "broken": 3});
    let orders = json!({"target": "orders", "kind": "fail", "percent": 30});
    assert_eq!(
        told(&asked.lock()),
        [
            (Method::PUT, json!({"rules": [users, orders]})),
            (Method::PUT, json!({"rules": [users]})),
        ]
    );
}

#[tokio::test]
async fn a_replica_that_is_away_keeps_no_other_from_being_mended() {
    let (at, asked) = port(|| records(&[]), RULES).await;
    let observed = format!("orders=http://127.0.0.1:9,http://{at}");
    let observatory = Observatory::start(&observed).await;
    let own = format!("http://{}", observatory.at);
    let page = [JSON, ("origin", own.as_str())];
    for (method, path) in [("PUT", "/v1/faults/orders"), ("DELETE", "/v1/faults")] {
        let (status, body) = observatory.ask(method, path, &page, RULES).await;
        assert_eq!(status, 503, "{method}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.starts_with("orders at 127.0.0.1:9"), "{detail}");
    }
    let methods: Vec<_> = told(&asked.lock()).into_iter().map(|(it, _)| it).collect();
    assert_eq!(methods, [Method::PUT, Method::DELETE]);
}

#[tokio::test]
async fn switches_of_whoever_runs_it_are_shown_pressed_and_mended() {
    const KAFKA: &str = r#"{"switches": [{"name": "kafka", "kind": "engine", "title": "Kafka", "on": true, "usual": true, "hit": 0, "absent": null}, 7]}"#;
    let (at, asked) = port(|| records(&[]), KAFKA).await;
    let (service, _) = port(|| records(&[]), RULES).await;
    let url = format!("--switches-url=http://{at}");
    let observatory = Observatory::start_with(&format!("orders=http://{service}"), &[&url]).await;
    // A look gives them two seconds, which a busy machine may need.
    let state = until("the one switch", async || {
        let (_, state) = observatory.get("/v1/state").await;
        let is_one = state["switches"].as_array().map(Vec::len) == Some(1);
        is_one.then_some(state)
    })
    .await;
    assert_eq!(state["switches"][0]["name"], "kafka");

    let own = format!("http://{}", observatory.at);
    let origin = ("origin", own.as_str());
    const OFF: &str = r#"{"on":false}"#;
    let press = async |path: &str, headers: &[(&str, &str)]| {
        observatory.ask("POST", path, headers, OFF).await.0
    };
    assert_eq!(press("/v1/switches/kafka", &[JSON]).await, 403, "no page");
    assert_eq!(press("/v1/switches/KAFKA", &[JSON, origin]).await, 404);
    assert_eq!(press("/v1/switches/kafka", &[JSON, origin]).await, 200);
    let (mended, _) = observatory.ask("DELETE", "/v1/faults", &[origin], "").await;
    assert_eq!(mended, 204);
    let mut asked = asked.lock().clone();
    asked.retain(|(method, _, _)| *method != Method::GET);
    let pressed = (Method::POST, "/switches/kafka".to_owned(), OFF.to_owned());
    let mended = (Method::DELETE, "/switches".to_owned(), String::new());
    assert_eq!(asked, [pressed, mended]);
}

#[tokio::test]
async fn without_a_process_that_has_switches_there_are_none() {
    let (at, _) = port(|| records(&[]), RULES).await;
    let observatory = Observatory::start(&format!("orders=http://{at}")).await;
    let (_, state) = observatory.get("/v1/state").await;
    assert_eq!(state["switches"], serde_json::Value::Null);
    let own = format!("http://{}", observatory.at);
    let headers = [JSON, ("origin", own.as_str())];
    let (status, body) = observatory
        .ask("POST", "/v1/switches/kafka", &headers, r#"{"on":false}"#)
        .await;
    assert_eq!(status, 404);
    assert!(
        body["detail"].as_str().unwrap().contains("SWITCHES_URL"),
        "{body}"
    );
}

#[tokio::test]
async fn others_need_its_token() {
    let (at, asked) = port(|| records(&[]), RULES).await;
    let flags = ["--observatory-token=0123456789abcdef"];
    let observatory = Observatory::start_with(&format!("orders=http://{at}"), &flags).await;
    let own = format!("http://{}", observatory.at);
    for (token, read, pressed) in [
        ("", 401, 401),
        ("Bearer 0123456789abcdeF", 401, 401),
        ("Bearer 0123456789abcdef", 200, 200),
    ] {
        let headers = [("authorization", token), ("origin", &own), JSON];
        let (status, _) = observatory.ask("GET", "/v1/state", &headers[..1], "").await;
        assert_eq!(status, read, "{token}");
        let put = observatory.ask("PUT", "/v1/faults/orders", &headers, RULES);
        assert_eq!(put.await.0, pressed, "{token}");
    }
    let puts = |asked: &[(Method, String, String)]| {
        let puts = asked.iter().filter(|(method, ..)| method == Method::PUT);
        puts.count()
    };
    assert_eq!(puts(&asked.lock()), 1);
    // With the token, too, it is for its own page only.
    let evil = [
        ("authorization", "Bearer 0123456789abcdef"),
        ("origin", "http://evil.example"),
        JSON,
    ];
    let put = observatory.ask("PUT", "/v1/faults/orders", &evil, RULES);
    assert_eq!(put.await.0, 403);
}

#[tokio::test]
async fn off_the_loopback_it_does_not_start_without_a_token() {
    let config = |flags: &[&str]| -> Config {
        let arguments = [
            "observatory",
            "--bind-host=0.0.0.0",
            "--http-port=0",
            "--admin-port=0",
        ];
        chassis::config::try_from_args(arguments.iter().chain(flags)).unwrap()
    };
    let run = async |config: Config, stop: Shutdown| {
        let listeners = Listeners::bind(&config).await.unwrap();
        observatory::run(config, listeners, stop).await
    };
    let refused = run(config(&[]), Shutdown::manual()).await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("OBSERVATORY_TOKEN"), "{refused}");
    assert_eq!(refused.lines().count(), 1);
    let stopped = Shutdown::manual();
    stopped.trigger();
    let token = config(&["--observatory-token=0123456789abcdef"]);
    run(token, stopped).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_sent_again_by_one_replica() {
    let (one, asked_one) = port(|| records(&[]), r#"{"dead_letters": [], "more": false}"#).await;
    let (two, asked_two) = port(|| records(&[]), r#"{"dead_letters": [], "more": false}"#).await;
    // One that is gone is no reason to give up.
    let observed = format!("products=http://127.0.0.1:9,http://{one},http://{two}");
    let observatory = Observatory::start(&observed).await;
    let letters = || {
        let asked = [asked_one.lock().clone(), asked_two.lock().clone()].concat();
        let of_letters = asked
            .into_iter()
            .filter(|(_, path, _)| path.contains("dead-letters"));
        of_letters.collect::<Vec<_>>()
    };
    let (status, listed) = observatory.get("/v1/dead-letters/products?id=7").await;
    assert_eq!((status, &listed["more"]), (200, &false.into()));
    let list = (Method::GET, "/dead-letters".to_owned(), String::new());
    assert_eq!(letters(), std::slice::from_ref(&list));

    let redrive = "/v1/dead-letters/products/redrive";
    let which = r#"{"id":"7"}"#;
    let own = format!("http://{}", observatory.at);
    for (headers, status) in [
        (&[JSON][..], 403),
        (&[JSON, ("origin", "http://evil.example")][..], 403),
        (&[JSON, ("origin", own.as_str())][..], 200),
    ] {
        let (answered, _) = observatory.ask("POST", redrive, headers, which).await;
        assert_eq!(answered, status);
    }
    let sent = (
        Method::POST,
        "/dead-letters/redrive".to_owned(),
        which.to_owned(),
    );
    assert_eq!(letters(), [list, sent]);
    let unknown = observatory.get("/v1/dead-letters/mars").await;
    assert_eq!(unknown.0, 404);
}
