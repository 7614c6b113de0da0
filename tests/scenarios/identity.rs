//! Nobody reads or changes what is not theirs, and nobody learns whether it exists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scenarios::{Answer, Marketplace, Shop, wait};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::grpc;
use crate::stage::Open;

/// What a stranger can tell two refusals apart by: all but the request's own path and trace.
fn face(answer: &Answer) -> (u16, Value) {
    let mut problem = answer.json.clone();
    for own in ["instance", "trace_id"] {
        problem.as_object_mut().expect("a problem").remove(own);
    }
    (answer.status, problem)
}

pub(crate) fn strangers_learn_nothing(open: &Open<'_>) {
    let shop = open.shop();
    let (product, _) = open.product(10);
    let owner = shop.customer();
    let stranger = shop.customer();
    let order = shop.order(&owner, &product, 1).expect(201).id();
    let nobody = Uuid::now_v7().to_string();
    let pairs = [
        (
            "GET",
            format!("/api/orders/{order}"),
            format!("/api/orders/{nobody}"),
        ),
        (
            "POST",
            format!("/api/orders/{order}/cancel"),
            format!("/api/orders/{nobody}/cancel"),
        ),
        (
            "GET",
            format!("/api/users/{}", owner.id),
            format!("/api/users/{nobody}"),
        ),
        (
            "GET",
            format!("/api/users/{}/orders", owner.id),
            format!("/api/users/{nobody}/orders"),
        ),
        (
            "GET",
            format!("/api/dashboard/{}", owner.id),
            format!("/api/dashboard/{nobody}"),
        ),
    ];
    let bearer = format!("Bearer {}", stranger.token);
    for (method, theirs, nothing) in pairs {
        let call = |path: &str, headers: &[(&str, &str)]| {
            shop.call(
                method,
                path,
                headers,
                (method == "POST").then_some(b"".as_slice()),
            )
            .expect("an answer")
        };
        let signed_in = [("authorization", bearer.as_str())];
        let (existing, missing) = (call(&theirs, &signed_in), call(&nothing, &signed_in));
        assert_eq!(face(&existing), face(&missing), "{method} {theirs}");
        let _ = existing.expect_problem(404);
        let (existing, missing) = (call(&theirs, &[]), call(&nothing, &[]));
        assert_eq!(
            face(&existing),
            face(&missing),
            "{method} {theirs} without a token"
        );
        let _ = existing.expect_problem(401);
    }
    let still = shop
        .get(&format!("/api/orders/{order}"), Some(&owner.token))
        .expect(200);
    assert_ne!(still.json["status"], "cancelled");

    // The services' own doors say the same: the gateway's check is not the only one.
    let orders = Shop::new(&open.marketplace.endpoint("orders"));
    for path in [
        format!("/v1/orders/{order}"),
        format!("/v1/users/{}/orders", owner.id),
    ] {
        let _ = orders.get(&path, Some(&stranger.token)).expect_problem(404);
    }
    assert_eq!(
        grpc::refusals(open, &stranger.token, &owner.id),
        [Code::NotFound, Code::NotFound, Code::PermissionDenied]
    );

    // Signing in tells nothing either: an unknown address and a wrong password look the same.
    let attempt = |email: &str| {
        shop.post(
            "/api/sessions",
            None,
            &json!({"email": email, "password": "not the password"}),
        )
    };
    let (known, unknown) = (attempt(&owner.email), attempt("nobody@example.org"));
    assert_eq!(face(&known), face(&unknown));
    let _ = known.expect_problem(401);
}

pub(crate) fn bad_tokens_are_refused(open: &Open<'_>) {
    let shop = open.shop();
    let owner = shop.customer();
    let parts: Vec<_> = owner.token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("not a JWT: {}", owner.token)
    };
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut unsigned = decoded(header);
    unsigned["alg"] = json!("none");
    let mut hmac = decoded(header);
    hmac["alg"] = json!("HS256");
    let mut promoted = decoded(claims);
    promoted["role"] = json!("admin");
    let mut unknown_key = decoded(header);
    unknown_key["kid"] = json!("no-such-key");
    let bad = [
        ("empty", String::new()),
        ("not a token", "abc".to_owned()),
        ("alg none", format!("{}.{claims}.", encoded(&unsigned))),
        (
            "alg none, signed",
            format!("{}.{claims}.{signature}", encoded(&unsigned)),
        ),
        (
            "another algorithm",
            format!("{}.{claims}.{signature}", encoded(&hmac)),
        ),
        (
            "other claims",
            format!("{header}.{}.{signature}", encoded(&promoted)),
        ),
        (
            "unknown key",
            format!("{}.{claims}.{signature}", encoded(&unknown_key)),
        ),
        ("no signature", format!("{header}.{claims}.")),
    ];
    for (what, token) in bad {
        for path in [
            "/api/users/me",
            "/api/orders",
            &format!("/api/dashboard/{}", owner.id),
        ] {
            let answer = shop.get(path, Some(&token));
            assert_eq!(answer.status, 401, "{what} at {path}: {answer:?}");
            let _ = answer.expect_problem(401);
        }
    }
    let _ = shop.get("/api/users/me", Some(&owner.token)).expect(200);

    // The same at a service's own door: nobody trusts a caller because it came from inside.
    let orders = Shop::new(&open.marketplace.endpoint("orders"));
    let forged = format!("{header}.{}.{signature}", encoded(&promoted));
    let _ = orders.get("/v1/orders", None).expect_problem(401);
    let _ = orders.get("/v1/orders", Some(&forged)).expect_problem(401);
    let _ = orders.get("/v1/orders", Some(&owner.token)).expect(200);
}

pub(crate) fn users_belong_to_administrators(open: &Open<'_>) {
    let shop = open.shop();
    let customer = shop.customer();
    let _ = shop.get("/api/users", None).expect_problem(401);
    let _ = shop
        .get("/api/users", Some(&customer.token))
        .expect_problem(403);
    let (email, password) = open.marketplace.administrator();
    let token = shop.sign_in(&email, &password);
    let listed = shop.get("/api/users", Some(&token)).expect(200);
    assert_eq!(listed.header("content-type"), Some("application/x-ndjson"));
    let users: Vec<Value> = listed
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON in a line"))
        .collect();
    assert!(users.iter().any(|u| u["id"] == customer.id.as_str()));
    let seen = shop
        .get(&format!("/api/users/{}", customer.id), Some(&token))
        .expect(200);
    assert_eq!(seen.json["email"], customer.email.as_str());
    let mine = shop.get("/api/users/me", Some(&customer.token)).expect(200);
    assert_eq!(mine.json["id"], customer.id.as_str());
    assert!(mine.json.get("password").is_none());
}

/// The id of the key of a token.
fn kid(token: &str) -> String {
    let head = token.split('.').next().expect("a header");
    let head: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).expect("base64url")).expect("JSON");
    head["kid"].as_str().expect("a key id").to_owned()
}

/// Keys change every few seconds (see the list in lists.rs), and tokens live as long as usual unless a shorter time is asked for:
/// however slow the machine is, no token expires before it was looked at.
pub(crate) fn rotated_key_keeps_old_tokens(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let customer = shop.customer();
    let old = shop.sign_in(&customer.email, &customer.password);
    let new = wait::until("a new signing key", || {
        let token = shop.sign_in(&customer.email, &customer.password);
        (kid(&token) != kid(&old)).then_some(token)
    });
    let published = shop.get("/.well-known/jwks.json", None).expect(200).json;
    let published: Vec<_> = published["keys"].as_array().expect("keys").iter().collect();
    for token in [&new, &old] {
        let kid = kid(token);
        assert!(
            published.iter().any(|key| key["kid"] == kid.as_str()),
            "{kid} is published"
        );
        let _ = shop.get("/api/users/me", Some(token)).expect(200);
    }
    // A verified token is remembered, until other keys are met, and must expire all the same.
    let status = |token: &str| shop.get("/api/users/me", Some(token)).status;
    let brief = wait::until("a brief token that is accepted while it is good", || {
        let body = json!({"email": customer.email, "password": customer.password, "expires_in": 2});
        let session = shop.post("/api/sessions", None, &body).expect(201).json;
        let token = session["access_token"].as_str()?.to_owned();
        (status(&token) == 200).then_some(token)
    });
    wait::until("the expired token to be refused", || {
        (status(&brief) == 401).then_some(())
    });
    let _ = shop.get("/api/users/me", Some(&brief)).expect_problem(401);
    let _ = shop.get("/api/users/me", Some(&old)).expect(200);
}
