//! Too much of a good thing.

use chassis::auth::{Claims, Role};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, Issuer, TestGateway, start, token_for};

async fn limited(flags: &[&str]) -> TestGateway {
    let (users, _) = FakeUsers::default().serve().await;
    start(users, FakeShop::default().serve().await, flags).await
}

/// Statuses of `n` calls one after the other.
async fn statuses(n: usize, call: impl AsyncFn() -> u16) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..n {
        statuses.push(call().await);
    }
    statuses
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let gateway = limited(&["--rate-limit=1"]).await;
    let seen = statuses(5, async || {
        gateway.get("/api/products/1").send().await.status.as_u16()
    })
    .await;
    assert_eq!(seen[0], 200);
    assert!(seen.contains(&429), "{seen:?}");
    // Until it happens to be refused: the budget refills while we ask.
    let answer = loop {
        let answer = gateway.get("/api/v1/products/1").send().await;
        if answer.status == 429 {
            break answer;
        }
    };
    answer.problem(429, "/api/v1/products/1");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=1;w=1");
    assert_eq!(answer.header("ratelimit"), "\"requests\";r=0;t=1");
}

#[tokio::test]
async fn people_are_counted_apart_even_behind_one_address() {
    let gateway = limited(&["--rate-limit=5"]).await;
    let flood = |token: Option<String>| {
        let gateway = &gateway;
        async move {
            let calls = (0..50).map(|_| {
                let call = gateway.get("/api/products/1");
                match &token {
                    Some(token) => call.token(token).send(),
                    None => call.send(),
                }
            });
            futures::future::join_all(calls)
                .await
                .iter()
                .filter(|answer| answer.status == 200)
                .count()
        }
    };
    // Each of them gets something, whoever came before; none gets everything.
    for token in [
        None,
        Some(token_for(Uuid::now_v7(), Role::Customer)),
        Some(token_for(Uuid::now_v7(), Role::Customer)),
    ] {
        let passed = flood(token).await;
        assert!((5..50).contains(&passed), "{passed}");
    }
}

#[tokio::test]
async fn trying_out_tokens_is_limited_too() {
    let gateway = limited(&["--rate-limit=5"]).await;
    let forged = Issuer::FORGER.sign(&Claims::new(
        Uuid::max(),
        Role::Admin,
        Duration::from_secs(60),
    ));
    let calls = (0..50).map(|_| gateway.get("/api/users/me").token(&forged).send());
    let answers = futures::future::join_all(calls).await;
    let count = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!(count(401) + count(429), 50);
    assert!(count(429) > 0);
}

#[tokio::test]
async fn zero_turns_the_limits_off() {
    let gateway = limited(&["--rate-limit=0", "--sign-in-rate=0"]).await;
    let wrong = json!({ "email": "ann@example.org", "password": "wrong" });
    let seen = statuses(20, async || {
        gateway
            .post("/api/sessions")
            .json(&wrong)
            .send()
            .await
            .status
            .as_u16()
    })
    .await;
    assert_eq!(seen, [401; 20]);
}

#[tokio::test]
async fn passwords_cannot_be_tried_out_for_one_email() {
    let gateway = limited(&["--sign-in-rate=3"]).await;
    let try_at = |email: &'static str| {
        let body = json!({ "email": email, "password": "wrong" });
        gateway.post("/api/v1/sessions").json(&body).send()
    };
    for _ in 0..3 {
        try_at("ann@example.org")
            .await
            .problem(401, "/api/v1/sessions");
    }
    // In any spelling of it.
    let answer = try_at(" ANN@example.org").await;
    answer.problem(429, "/api/v1/sessions");
    assert_eq!(answer.header("ratelimit-policy"), "\"sign-in\";q=3;w=60");
    assert!(
        (1..=20).contains(&answer.header("retry-after").parse::<u32>().unwrap()),
        "{answer:?}"
    );
    // Others sign in as before.
    try_at("bob@example.org")
        .await
        .problem(401, "/api/v1/sessions");
}
