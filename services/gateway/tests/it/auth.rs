//! Who gets in.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::Claims;
use contracts::identity::{ADMIN, CUSTOMER, REALM};
use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, Issuer, TestGateway, start, token_for};

fn claims() -> Claims {
    REALM.claims(Uuid::max(), ADMIN, Duration::from_secs(600))
}

fn unsigned(header: &serde_json::Value) -> String {
    let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let body = serde_json::to_vec(&claims()).unwrap();
    format!(
        "{}.{}.",
        encode(serde_json::to_vec(header).unwrap()),
        encode(body)
    )
}

/// Each of them claims to be an admin.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let good = Issuer::TRUSTED.sign(&claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, body) = head.split_once('.').unwrap();
    let promoted = URL_SAFE_NO_PAD.encode(
        String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap())
            .unwrap()
            .replace(&Uuid::max().to_string(), &Uuid::nil().to_string()),
    );
    vec![
        ("forged", Issuer::FORGER.sign(&claims())),
        ("of a stranger's key", Issuer::STRANGER.sign(&claims())),
        ("tampered with", format!("{header}.{promoted}.{signature}")),
        (
            "expired",
            Issuer::TRUSTED.sign(&Claims {
                exp: claims().iat - 1,
                ..claims()
            }),
        ),
        (
            "of another issuer",
            Issuer::TRUSTED.sign(&Claims {
                iss: "elsewhere".to_owned(),
                ..claims()
            }),
        ),
        (
            "for another audience",
            Issuer::TRUSTED.sign(&Claims {
                aud: "elsewhere".to_owned(),
                ..claims()
            }),
        ),
        (
            "unsigned",
            unsigned(&json!({ "alg": "none", "kid": "key-1", "typ": "JWT" })),
        ),
        (
            "unsigned EdDSA",
            unsigned(&json!({ "alg": "EdDSA", "kid": "key-1", "typ": "JWT" })),
        ),
        ("no token", "nonsense".to_owned()),
    ]
}

#[tokio::test]
async fn bad_tokens_are_refused_everywhere_and_all_alike() {
    let gateway = TestGateway::healthy().await;
    for (kind, token) in bad_tokens() {
        for path in [
            "/api/users/me",
            "/api/users",
            "/api/v1/orders/1",
            "/api/dashboard/1",
        ] {
            let answer = gateway.get(path).token(&token).send().await;
            let problem = answer.problem(401, path);
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{kind}"
            );
            assert_eq!(problem["detail"], "the access token is not valid", "{kind}");
        }
    }
}

/// An expired token must not cost its holder what is open to everybody.
#[tokio::test]
async fn a_bad_token_closes_no_open_route() {
    let gateway = TestGateway::healthy().await;
    for (kind, token) in bad_tokens() {
        let goods = gateway.get("/api/products/1").token(&token).send().await;
        assert_eq!(goods.status, 200, "{kind}: {goods:?}");
        let new = json!({ "email": "eve@example.org", "name": "Eve", "password": "correct horse" });
        let answer = gateway.post("/api/v1/users").token(&token).json(&new);
        let answer = answer.send().await;
        assert_eq!(answer.status, 201, "{kind}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_private_is_shown() {
    let gateway = TestGateway::healthy().await;
    let user = format!("/api/users/{}", Uuid::max());
    for path in [
        "/api/users/me",
        "/api/users",
        &user,
        "/api/users/17",
        &format!("{user}/orders"),
        "/api/dashboard/17",
    ] {
        let answer = gateway.get(path).send().await;
        answer.problem(401, path);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn the_callers_token_is_passed_on_to_be_checked_again() {
    let gateway = TestGateway::healthy().await;
    let token = token_for(Uuid::max(), CUSTOMER);
    let seen = gateway
        .get("/api/orders/1")
        .token(&token)
        .send()
        .await
        .ok(200);
    assert_eq!(seen["headers"]["authorization"], format!("Bearer {token}"));
}

#[tokio::test]
async fn who_holds_an_expired_token_can_still_sign_in_again() {
    let gateway = TestGateway::healthy().await;
    let expired = Issuer::TRUSTED.sign(&Claims { exp: 1, ..claims() });
    let credentials = json!({ "email": "ann@example.org", "password": "correct horse" });
    gateway
        .post("/api/sessions")
        .token(&expired)
        .json(&credentials)
        .send()
        .await
        .ok(201);
    gateway
        .get("/.well-known/jwks.json")
        .token(&expired)
        .send()
        .await
        .ok(200);
}

#[tokio::test]
async fn a_token_lives_as_long_as_was_asked_for() {
    let gateway = TestGateway::healthy().await;
    for (asked, granted) in [(json!(3), 3), (json!(null), 900)] {
        let credentials =
            json!({ "email": "ann@example.org", "password": "correct horse", "expires_in": asked });
        let call = gateway.post("/api/sessions").json(&credentials);
        let session = call.send().await.ok(201);
        assert_eq!(session["expires_in"], granted, "{asked}");
    }
}

#[tokio::test]
async fn the_keys_are_published_and_remembered() {
    let (users, fake) = FakeUsers::default().serve().await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    for _ in 0..20 {
        let answer = gateway.get("/.well-known/jwks.json").send().await;
        let key = Issuer::TRUSTED.public_key();
        assert_eq!(
            answer.ok(200),
            json!({ "keys": [{
            "kid": "key-1", "kty": "OKP", "crv": "Ed25519", "x": key.x, "alg": "EdDSA", "use": "sig",
        }] })
        );
        assert!(answer.header("cache-control").contains("max-age"));
    }
    // Once for the check of tokens, once for the document.
    assert!(fake.keys_asked.load(Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn a_client_cannot_name_itself() {
    let gateway = TestGateway::healthy().await;
    let answer = gateway
        .call(Method::GET, "/api/users/me")
        .header("x-user-id", &Uuid::max().to_string())
        .send()
        .await;
    answer.problem(401, "/api/users/me");
}
