//! Who sees what, and with which tokens.

use chassis::auth::Claims;
use contracts::identity::{CUSTOMER, REALM};
use contracts::users::v1::{GetKeysRequest, GetUserOrdersRequest, ListUsersRequest};
use std::time::Duration;
use tonic::Code;
use users::keys::SigningKey;
use uuid::Uuid;

use crate::app::{App, authorized, violations};

#[tokio::test]
async fn a_user_is_shown_to_itself_and_admins_only() {
    let app = App::start().await;
    let (ada, adas) = app.customer("ada@example.com").await;
    let (_, eves) = app.customer("eve@example.com").await;
    let admins = app.admin_token().await;

    assert_eq!(app.get_user(&adas, &ada.id).await.unwrap(), ada);
    assert_eq!(app.get_user(&admins, &ada.id).await.unwrap(), ada);

    // Somebody else's, nobody's, and no id at all: the same answer.
    let nobody = Uuid::now_v7().to_string();
    let mut answers = Vec::new();
    for id in [ada.id.as_str(), &nobody, "ada", "0"] {
        let status = app.get_user(&eves, id).await.unwrap_err();
        answers.push((status.code(), status.message().to_owned()));
    }
    let admin_asks = app.get_user(&admins, &nobody).await.unwrap_err();
    answers.push((admin_asks.code(), admin_asks.message().to_owned()));
    answers.dedup();
    assert_eq!(
        answers,
        [(Code::NotFound, "there is no such user".to_owned())]
    );

    let empty = app.get_user(&adas, "").await.unwrap_err();
    let (code, fields) = violations(&empty);
    assert_eq!((code, fields.len()), (Code::InvalidArgument, 1));
}

#[tokio::test]
async fn several_are_asked_for_at_once_as_each_by_itself() {
    let app = App::start().await;
    let (ada, adas) = app.customer("ada@example.com").await;
    let (eve, eves) = app.customer("eve@example.com").await;
    let admins = app.admin_token().await;
    let nobody = Uuid::now_v7().to_string();

    // In the order asked for, each once; whom one may not see is as absent as who does not exist.
    let ids = [
        eve.id.as_str(),
        &nobody,
        &ada.id,
        "ada",
        "",
        &ada.id.to_uppercase(),
    ];
    let everybody = [eve.clone(), ada.clone()];
    assert_eq!(app.get_users(&admins, &ids).await.unwrap(), everybody);
    assert_eq!(app.get_users(&adas, &ids).await.unwrap(), everybody[1..]);
    assert_eq!(app.get_users(&eves, &ids).await.unwrap(), everybody[..1]);
    let others = app.get_users(&eves, &[&ada.id, &nobody]).await;
    assert_eq!(others.unwrap(), []);
    let unsigned = app.get_users("", &ids).await.unwrap_err();
    assert_eq!(unsigned.code(), Code::Unauthenticated);

    // A hundred, and not one more, whoever they are.
    let many = vec![ada.id.as_str(); 101];
    let hundred = app.get_users(&adas, &many[1..]).await;
    assert_eq!(hundred.unwrap(), everybody[1..]);
    for ids in [&[][..], &many] {
        let refused = app.get_users(&adas, ids).await.unwrap_err();
        let (code, fields) = violations(&refused);
        assert_eq!(code, Code::InvalidArgument);
        assert_eq!(fields[0].0, "user_ids");
    }
}

#[tokio::test]
async fn a_list_is_for_admins() {
    let app = App::start().await;
    let (_, token) = app.customer("ada@example.com").await;
    let list = async |token: &str, page_size| {
        let request = authorized(
            ListUsersRequest {
                page_size,
                ..Default::default()
            },
            token,
        );
        app.client.clone().list_users(request).await.map(drop)
    };
    let codes = async |token: &str| list(token, 0).await.unwrap_err().code();
    assert_eq!(codes(&token).await, Code::PermissionDenied);
    assert_eq!(codes("").await, Code::Unauthenticated);
    let admins = app.admin_token().await;
    list(&admins, 0).await.unwrap();
    for wrong in [-1, 1001] {
        let status = list(&admins, wrong).await.unwrap_err();
        assert_eq!(violations(&status).1[0].0, "page_size");
    }
}

/// A token with these claims, signed by `key`.
fn token(key: &SigningKey, change: impl FnOnce(&mut Claims), user: &str) -> String {
    let user = Uuid::parse_str(user).unwrap();
    let mut claims = REALM.claims(user, CUSTOMER, Duration::from_secs(60));
    change(&mut claims);
    key.sign(&claims).unwrap()
}

/// The key that the service signs with.
async fn real_key(app: &App) -> SigningKey {
    let (seed, from) = sqlx::query_as("SELECT seed, active_from FROM signing_keys")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    SigningKey::from_seed(seed, from).unwrap()
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_refused() {
    let app = App::start().await;
    let (ada, good) = app.customer("ada@example.com").await;
    let key = real_key(&app).await;
    // What is refused below is refused for its own reason.
    app.get_user(&token(&key, |_| (), &ada.id), &ada.id)
        .await
        .unwrap();

    let forger = SigningKey::generate(chrono::Utc::now()).unwrap();
    let mut same_name = forger.clone();
    same_name.kid.clone_from(&key.kid);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts");
    };
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let none = base64(&format!(
        r#"{{"alg":"none","typ":"JWT","kid":"{}"}}"#,
        key.kid
    ));
    let another = base64(&format!(
        r#"{{"sub":"{}","role":"admin","iss":"{}","aud":"{}","iat":0,"exp":9999999999}}"#,
        ada.id, REALM.issuer, REALM.audience
    ));
    for (what, bad) in [
        ("nothing", String::new()),
        ("garbage", "garbage".to_owned()),
        ("an unknown key", token(&forger, |_| (), &ada.id)),
        (
            "another key by a known name",
            token(&same_name, |_| (), &ada.id),
        ),
        (
            "expired",
            token(&key, |claims| claims.exp = claims.iat - 1, &ada.id),
        ),
        (
            "another issuer",
            token(&key, |claims| claims.iss = "x".into(), &ada.id),
        ),
        (
            "for somebody else",
            token(&key, |claims| claims.aud = "x".into(), &ada.id),
        ),
        ("alg none", format!("{none}.{claims}.")),
        (
            "alg none with a signature",
            format!("{none}.{claims}.{signature}"),
        ),
        ("other claims", format!("{header}.{another}.{signature}")),
    ] {
        let status = app.get_user(&bad, &ada.id).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
        let request = GetUserOrdersRequest {
            user_id: ada.id.clone(),
            ..Default::default()
        };
        let status = app
            .client
            .clone()
            .get_user_orders(authorized(request, &bad))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
    }
}

#[tokio::test]
async fn published_keys_are_public_only() {
    let app = App::start().await;
    let key = real_key(&app).await;
    let answer = app
        .client
        .clone()
        .get_keys(GetKeysRequest {})
        .await
        .unwrap();
    let [published] = &answer.get_ref().keys[..] else {
        panic!("one key: {answer:?}");
    };
    assert_eq!(
        [
            &published.kid,
            &published.kty,
            &published.crv,
            &published.x,
            &published.alg,
            &published.r#use
        ],
        [&key.kid, "OKP", "Ed25519", &key.public_x, "EdDSA", "sig"]
    );
}
