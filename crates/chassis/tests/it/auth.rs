//! Tokens: what is believed, what is refused, and what happens while the keys change or are away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Method;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Shutdown;
use chassis::auth::{self, AuthError, Caller, Claims, Role, Verifier};
use chassis::extract::OptionalCaller;
use chassis::health::{Health, State};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use uuid::Uuid;

use crate::support::eventually;
use crate::support::issuer::{Key, Source, claims};
use crate::support::server::Server;

fn verifier(key: &Key) -> (Verifier, Arc<Source>) {
    let source = Source::with(&[key]);
    (Verifier::new(source.clone()), source)
}

#[tokio::test]
async fn a_good_token_says_who_is_calling() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    let user = Uuid::now_v7();
    let token = key.sign(&Claims::new(user, Role::Admin, Duration::from_secs(60)));
    for _ in 0..3 {
        let caller = verifier.verify(&token).await.unwrap();
        assert_eq!(
            (caller.user_id, caller.role, caller.token.as_str()),
            (user, Role::Admin, token.as_str())
        );
        assert!(
            !format!("{caller:?}").contains(&token),
            "a log must not hold tokens"
        );
    }
    assert_eq!(source.fetches(), 1);
    let customer = verifier.verify(&key.token()).await.unwrap();
    assert!(customer.may_see(customer.user_id) && !customer.may_see(user));
}

fn unsigned(header: &str, claims: &Claims, signature: &str) -> String {
    let claims = serde_json::to_vec(claims).unwrap();
    format!(
        "{}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    )
}

#[tokio::test]
async fn everything_else_is_refused() {
    let key = Key::new("a", 1);
    let (verifier, _) = verifier(&key);
    let good = key.token();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let hmac = Header {
        kid: Some("a".to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    let no_kid = Header::new(Algorithm::EdDSA);
    let with = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        key.sign(&claims)
    };
    let bad = [
        ("alg none", unsigned(r#"{"alg":"none","kid":"a"}"#, &claims(), "")),
        ("alg None, signed", unsigned(r#"{"alg":"None","kid":"a"}"#, &claims(), signature)),
        // The classic: the public key as the secret of an HMAC.
        ("alg HS256", jsonwebtoken::encode(&hmac, &claims(), &EncodingKey::from_secret(&key.public())).unwrap()),
        ("another's key under this id", Key::new("a", 2).token()),
        ("another's signature", format!("{head}.{}", Key::new("a", 1).token().rsplit_once('.').unwrap().1)),
        ("no signature", format!("{head}.")),
        ("no key id", key.sign_with(&no_kid, &claims())),
        ("expired", with(|claims| claims.exp = claims.iat - 1)),
        ("expires this second", with(|claims| claims.exp = claims.iat)),
        ("another issuer", with(|claims| claims.iss = "elsewhere".to_owned())),
        ("another audience", with(|claims| claims.aud = "elsewhere".to_owned())),
        ("no expiry", key.sign(&serde_json::json!({"sub": Uuid::nil(), "role": "admin", "iss": "agora", "aud": "agora", "iat": 1}))),
        ("unknown role", key.sign(&serde_json::json!({"sub": Uuid::nil(), "role": "root", "iss": "agora", "aud": "agora", "iat": 1, "exp": 99999999999u64}))),
        ("no user", key.sign(&serde_json::json!({"sub": "me", "role": "admin", "iss": "agora", "aud": "agora", "iat": 1, "exp": 99999999999u64}))),
        ("not a token", "rubbish".to_owned()),
        ("dots", "...".to_owned()),
        ("huge", "a".repeat(10_000)),
    ];
    for (what, token) in bad {
        assert_eq!(
            verifier.verify(&token).await,
            Err(AuthError::Invalid),
            "{what}"
        );
    }
    assert_eq!(verifier.verify("").await, Err(AuthError::Missing));
    assert!(verifier.verify(&good).await.is_ok());
}

#[tokio::test]
async fn the_memory_of_good_tokens_ends_with_the_token() {
    let key = Key::new("a", 1);
    let (verifier, _) = verifier(&key);
    let token = key.sign(&Claims::new(
        Uuid::now_v7(),
        Role::Customer,
        Duration::from_secs(2),
    ));
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.verify(&token).await.is_ok(), "from memory");
    eventually("it expires", || async {
        verifier.verify(&token).await == Err(AuthError::Invalid)
    })
    .await;
}

#[tokio::test]
async fn rotated_keys_are_found_and_old_tokens_live_on() {
    let (old, new) = (Key::new("old", 1), Key::new("new", 2));
    let (verifier, source) = verifier(&old);
    let early = old.token();
    assert!(verifier.verify(&early).await.is_ok());
    source.publish(&[&old, &new]);
    // Right after a fetch, and many at once: all are served by one more fetch.
    let tokens: Vec<_> = (0..50).map(|_| new.token()).collect();
    let checks = tokens.iter().map(|token| verifier.verify(token));
    assert!(
        futures::future::join_all(checks)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(source.fetches(), 2);
    assert!(verifier.verify(&early).await.is_ok());
    assert!(verifier.verify(&old.token()).await.is_ok());
}

#[tokio::test]
async fn a_withdrawn_key_is_believed_no_longer_not_even_from_memory() {
    let (old, new) = (Key::new("old", 1), Key::new("new", 2));
    let (verifier, source) = verifier(&old);
    let early = old.token();
    assert!(verifier.verify(&early).await.is_ok());
    source.publish(&[&new]);
    assert!(verifier.verify(&new.token()).await.is_ok());
    assert_eq!(verifier.verify(&early).await, Err(AuthError::Invalid));
}

#[tokio::test]
async fn unknown_key_ids_ask_at_most_once_a_second() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    assert!(verifier.verify(&key.token()).await.is_ok());
    let begun = Instant::now();
    let forged: Vec<_> = (0..200)
        .map(|n| Key::new(&format!("forged-{n}"), 9).token())
        .collect();
    let checks = forged.iter().map(|token| verifier.verify(token));
    let results = futures::future::join_all(checks).await;
    assert!(
        results
            .iter()
            .all(|result| *result == Err(AuthError::Invalid))
    );
    let seconds = begun.elapsed().as_secs() as usize;
    assert!(
        source.fetches() <= 2 + seconds,
        "{} fetches in {seconds} s",
        source.fetches()
    );
}

#[tokio::test]
async fn known_keys_stay_while_the_source_is_down() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    assert!(verifier.verify(&key.token()).await.is_ok());
    source.down.store(true, Ordering::SeqCst);
    // Nobody can tell whether this one is good, so it is not called bad.
    assert_eq!(
        verifier.verify(&Key::new("b", 2).token()).await,
        Err(AuthError::KeysUnavailable)
    );
    assert!(verifier.verify(&key.token()).await.is_ok());
}

#[tokio::test]
async fn without_keys_it_is_503_at_once_and_heals_by_itself() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    source.down.store(true, Ordering::SeqCst);
    let health = Health::new("test");
    let dependency = health.dependency("keys");
    let shutdown = Shutdown::manual();
    let fresh = tokio::spawn(
        verifier
            .clone()
            .keep_fresh(dependency.clone(), shutdown.clone()),
    );
    eventually("it is down", || async { dependency.state() == State::Down }).await;
    assert_eq!(
        health.report().dependencies[0].detail.as_deref(),
        Some("the source is down")
    );
    let begun = Instant::now();
    let checks: Vec<_> = (0..100).map(|_| key.token()).collect();
    for token in &checks {
        assert_eq!(
            verifier.verify(token).await,
            Err(AuthError::KeysUnavailable)
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "each waited for the source"
    );
    source.down.store(false, Ordering::SeqCst);
    eventually("it is up", || async { dependency.state() == State::Up }).await;
    assert!(verifier.verify(&key.token()).await.is_ok());
    shutdown.trigger();
    fresh.await.unwrap();
}

#[tokio::test]
async fn the_http_layer() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    let router =
        Router::new()
            .route(
                "/me",
                get(|caller: Caller| async move { caller.user_id.to_string() }),
            )
            .route(
                "/open",
                get(|OptionalCaller(caller): OptionalCaller| async move {
                    caller.is_some().to_string()
                }),
            )
            .layer(auth::http_layer(verifier));
    let server = Server::standard(router).await;
    let call = async |path: &str, value: &str| {
        server
            .send(Method::GET, path, &[("authorization", value)], "")
            .await
    };

    let claims = claims();
    let good = format!("Bearer {}", key.sign(&claims));
    assert_eq!(call("/me", &good).await.text(), claims.sub.to_string());
    assert_eq!(
        call("/open", &good.replace("Bearer", "bearer"))
            .await
            .text(),
        "true"
    );
    assert_eq!(server.get("/open").await.text(), "false");
    server.get("/me").await.problem(401);
    for bad in ["Bearer rubbish", "Basic dXNlcjpwYXNz", "Bearer", &good[7..]] {
        for path in ["/me", "/open"] {
            let answer = call(path, bad).await;
            assert_eq!(answer.problem(401)["instance"], path, "{bad}");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer error=\"invalid_token\"")
            );
        }
    }
    let twice = server
        .send(
            Method::GET,
            "/me",
            &[("authorization", &good), ("authorization", &good)],
            "",
        )
        .await;
    twice.problem(401);

    source.down.store(true, Ordering::SeqCst);
    let unknown = format!("Bearer {}", Key::new("b", 2).token());
    let answer = call("/open", &unknown).await;
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    server.stop().await;
}
