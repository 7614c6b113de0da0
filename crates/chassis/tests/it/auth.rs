//! Tokens: what is believed, what is refused, and what happens while the keys change or are away.

mod ready;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Method;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::Shutdown;
use chassis::auth::{self, AuthError, Caller, Claims, Verifier};
use chassis::extract::OptionalCaller;
use chassis::health::{Health, State};
use futures::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use uuid::Uuid;

use crate::support::eventually;
use crate::support::issuer::{KEEPER, Key, READER, REALM, Source, claims};
use crate::support::server::Server;

fn verifier(key: &Key) -> (Verifier, Arc<Source>) {
    let source = Source::with(&[key]);
    (Verifier::new(REALM, source.clone()), source)
}

#[tokio::test]
async fn a_good_token_says_who_is_calling() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    let user = Uuid::now_v7();
    let token = key.sign(&REALM.claims(user, KEEPER, Duration::from_secs(60)));
    for _ in 0..3 {
        let caller = verifier.verify(&token).await.unwrap();
        assert_eq!(
            (caller.user_id, caller.role, caller.token.as_str()),
            (user, KEEPER, token.as_str())
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
    let crit = Header {
        kid: Some("a".to_owned()),
        crit: Some(vec!["b64".to_owned()]),
        ..Header::new(Algorithm::EdDSA)
    };
    let from = |nbf: serde_json::Value| {
        let mut claims = serde_json::to_value(claims()).unwrap();
        claims["nbf"] = nbf;
        key.sign(&claims)
    };
    let soon = claims().iat + 30;
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
        ("not yet valid", from(soon.into())),
        ("valid from some day", from("soon".into())),
        ("an extension that must be understood", key.sign_with(&crit, &claims())),
        ("expired", with(|claims| claims.exp = claims.iat - 1)),
        ("expires this second", with(|claims| claims.exp = claims.iat)),
        ("another issuer", with(|claims| claims.iss = "elsewhere".to_owned())),
        ("another audience", with(|claims| claims.aud = "elsewhere".to_owned())),
        ("no expiry", key.sign(&serde_json::json!({"sub": Uuid::nil(), "role": "keeper", "iss": "library", "aud": "readers", "iat": 1}))),
        ("unknown role", key.sign(&serde_json::json!({"sub": Uuid::nil(), "role": "root", "iss": "library", "aud": "readers", "iat": 1, "exp": 99999999999u64}))),
        ("no user", key.sign(&serde_json::json!({"sub": "me", "role": "keeper", "iss": "library", "aud": "readers", "iat": 1, "exp": 99999999999u64}))),
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
    assert!(verifier.verify(&from(claims().iat.into())).await.is_ok());
}

#[tokio::test]
async fn the_memory_of_good_tokens_ends_with_the_token() {
    let key = Key::new("a", 1);
    let (verifier, _) = verifier(&key);
    let token = key.sign(&REALM.claims(Uuid::now_v7(), READER, Duration::from_secs(5)));
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

/// Forged tokens by the thousand, each of another key: only a few wait, and so hold a place, for keys that might know it.
#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_waits_for_nothing() {
    let (old, new) = (Key::new("old", 1), Key::new("new", 2));
    let (verifier, source) = verifier(&old);
    let early = old.token();
    assert!(verifier.verify(&early).await.is_ok());
    source.publish(&[&old, &new]);
    // Later than the fetch, by the clock.
    tokio::time::advance(Duration::from_millis(1)).await;
    let first = new.token();
    let mut first = Box::pin(verifier.verify(&first));
    assert!((&mut first).now_or_never().is_none(), "waits for new keys");
    let forged: Vec<_> = (0..1280)
        .map(|n| Key::new(&format!("forged-{n}"), 9).token())
        .collect();
    let mut waiting = Vec::new();
    for token in &forged {
        let mut check = Box::pin(verifier.verify(token));
        match (&mut check).now_or_never() {
            Some(refused) => assert_eq!(refused, Err(AuthError::Invalid)),
            None => waiting.push(check),
        }
    }
    assert!(waiting.len() < 64, "{} wait", waiting.len());
    // The others are let in meanwhile, and so is who holds a token of a key that came while they flooded.
    assert!(verifier.verify(&early).now_or_never().unwrap().is_ok());
    assert!(first.await.is_ok());
    for check in waiting {
        assert_eq!(check.await, Err(AuthError::Invalid));
    }
    assert_eq!(source.fetches(), 2, "one for all who waited");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_does_not_exist_is_not_looked_for_again_at_once() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    let late = Key::new("late", 2);
    assert_eq!(
        verifier.verify(&late.token()).await,
        Err(AuthError::Invalid)
    );
    // Past the pause between two fetches, which would refuse them as well.
    tokio::time::advance(Duration::from_secs(2)).await;
    for _ in 0..100 {
        let again = late.token();
        let refused = verifier.verify(&again).now_or_never();
        assert_eq!(refused, Some(Err(AuthError::Invalid)));
    }
    assert_eq!(source.fetches(), 1);
    // It comes into being, and is found after a while, or as soon as anybody makes the keys be fetched.
    source.publish(&[&key, &late]);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(verifier.verify(&late.token()).await.is_ok());
}

/// What many wait for goes on when the one that began it has gone.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_does_not_take_the_keys_along() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    source.slow.store(true, Ordering::SeqCst);
    let (first, second) = (key.token(), key.token());
    let mut hasty = Box::pin(verifier.verify(&first));
    assert!((&mut hasty).now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(source.fetches(), 1, "it is under way");
    let mut patient = Box::pin(verifier.verify(&second));
    assert!((&mut patient).now_or_never().is_none());
    drop(hasty);
    assert!(patient.await.is_ok());
    assert_eq!(source.fetches(), 1);
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
    // Each would for a second.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "each waited for the source"
    );
    source.down.store(false, Ordering::SeqCst);
    eventually("it is up", || async { dependency.state() == State::Up }).await;
    assert!(verifier.verify(&key.token()).await.is_ok());
    shutdown.trigger();
    fresh.await.unwrap();
}

#[tokio::test]
async fn a_bad_token_closes_no_open_route() {
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
            .layer(auth::layer(verifier));
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
        let answer = call("/me", bad).await;
        assert_eq!(answer.problem(401)["instance"], "/me", "{bad}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
        assert_eq!(call("/open", bad).await.text(), "false", "{bad}");
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
    let answer = call("/me", &unknown).await;
    answer.problem(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(call("/open", &unknown).await.text(), "false");
    server.stop().await;
}
