//! Keys: made once, published before they sign, kept until their tokens have expired.

use std::time::Duration;

use contracts::users::v1::GetKeysRequest;
use futures::future::join_all;
use jsonwebtoken::decode_header;
use sqlx::PgPool;
use users::keys::{KeyOptions, Keyring, PUBLISH_AHEAD, RETIREMENT_MARGIN};

use crate::app::{App, Setup};

/// A service that looks at its keys all the time.
fn attentive() -> Setup {
    Setup::new().with([
        "--key-refresh=10ms",
        "--key-rotation=30d",
        "--token-lifetime=15m",
    ])
}

async fn published(app: &App) -> Vec<String> {
    let answer = app
        .client
        .clone()
        .get_keys(GetKeysRequest {})
        .await
        .unwrap();
    answer
        .into_inner()
        .keys
        .into_iter()
        .map(|key| key.kid)
        .collect()
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// Polls until it is true; fails after a minute.
async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// Makes every key older: what the passing of `time` would do.
async fn pass(pool: &PgPool, time: Duration) {
    sqlx::query("UPDATE signing_keys SET active_from = active_from - make_interval(secs => $1)")
        .bind(time.as_secs_f64())
        .execute(pool)
        .await
        .unwrap();
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_key_is_replaced_without_anybody_noticing() {
    let app = attentive().start().await;
    let (ada, old_token) = app.customer("ada@example.com").await;
    let old = kid(&old_token);
    assert_eq!(published(&app).await, std::slice::from_ref(&old));

    // Published first, and not used yet.
    pass(&app.pool, 30 * DAY).await;
    until("a second key is published", async || {
        published(&app).await.len() == 2
    })
    .await;
    assert_eq!(kid(&app.token("ada@example.com").await), old);

    // Then it signs; both are good.
    pass(&app.pool, PUBLISH_AHEAD).await;
    until("the new key signs", async || {
        kid(&app.token("ada@example.com").await) != old
    })
    .await;
    let new_token = app.token("ada@example.com").await;
    let new = kid(&new_token);
    assert_eq!(published(&app).await, [old.clone(), new.clone()]);
    for token in [&old_token, &new_token] {
        app.get_user(token, &ada.id).await.unwrap();
    }

    // The last token of the old key may have expired, by some clock.
    pass(&app.pool, Duration::from_secs(15 * 60)).await;
    until("both were looked at again", async || {
        published(&app).await.len() == 2
    })
    .await;
    // By every clock.
    pass(&app.pool, RETIREMENT_MARGIN + Duration::from_secs(5)).await;
    until("the old key is forgotten", async || {
        published(&app).await == [new.clone()]
    })
    .await;
    app.get_user(&new_token, &ada.id).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM signing_keys").await, 1);
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let setup = attentive();
    let database = setup.database.clone();
    let app = setup.start().await;
    let (ada, token) = app.customer("ada@example.com").await;
    app.stop().await.unwrap();

    let app = Setup::on(database).start().await;
    app.get_user(&token, &ada.id).await.unwrap();
    assert_eq!(published(&app).await, [kid(&token)]);
}

#[tokio::test]
async fn replicas_share_their_keys_and_one_rotates_them() {
    let database = embedded::testing::fresh_database();
    let refresh = ["--key-refresh=10ms"];
    let apps = join_all((0..3).map(|_| Setup::on(database.clone()).with(refresh).start())).await;
    let first = published(&apps[0]).await;
    assert_eq!(first.len(), 1);
    for app in &apps {
        assert_eq!(published(app).await, first);
    }
    assert_eq!(
        apps[0]
            .count("SELECT count(*) FROM users WHERE role = 'admin'")
            .await,
        1
    );

    // Each of them sees that it is time; one acts.
    pass(&apps[0].pool, 31 * DAY).await;
    for app in &apps {
        until("the next key is published everywhere", async || {
            published(app).await.len() == 2
        })
        .await;
    }
    assert_eq!(apps[0].count("SELECT count(*) FROM signing_keys").await, 2);

    // A token of one is good at the others.
    let (ada, token) = apps[0].customer("ada@example.com").await;
    for app in &apps {
        app.get_user(&token, &ada.id).await.unwrap();
    }
}

/// Key rings on the tables of a service that ran once, with nobody else around.
async fn tables() -> PgPool {
    let setup = Setup::new();
    let url = setup.database.url.clone();
    setup.start().await.stop().await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    sqlx::query("DELETE FROM signing_keys")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

fn options() -> KeyOptions {
    KeyOptions {
        token_lifetime: Duration::from_secs(900),
        rotation: 30 * DAY,
        publish_ahead: PUBLISH_AHEAD,
    }
}

#[tokio::test]
async fn many_rings_at_once_make_one_key() {
    let pool = tables().await;
    let rings: Vec<_> = (0..8)
        .map(|_| Keyring::new(pool.clone(), options()))
        .collect();
    for _ in 0..3 {
        for result in join_all(rings.iter().map(Keyring::maintain)).await {
            result.unwrap();
        }
        let signers = join_all(rings.iter().map(Keyring::signer)).await;
        let mut kids: Vec<_> = signers
            .into_iter()
            .map(|signer| signer.unwrap().kid)
            .collect();
        kids.dedup();
        assert_eq!(kids.len(), 1, "{kids:?}");
        pass(&pool, 31 * DAY).await;
    }
    // One made in each round; the one of the first has been forgotten since.
    assert_eq!(rings[0].published().len(), 2);
}

#[tokio::test]
async fn a_ring_reads_keys_that_another_replica_has_made() {
    let pool = tables().await;
    let forgetful = Keyring::new(
        pool.clone(),
        KeyOptions {
            publish_ahead: Duration::ZERO,
            rotation: Duration::ZERO,
            ..options()
        },
    );
    let old = forgetful.signer().await.unwrap().kid;

    // Behind its back another ring makes a key, and that takes over.
    pass(&pool, 31 * DAY).await;
    let other = Keyring::new(pool.clone(), options());
    other.maintain().await.unwrap();
    pass(&pool, PUBLISH_AHEAD).await;

    assert_ne!(forgetful.signer().await.unwrap().kid, old);
}

#[tokio::test]
async fn a_shorter_token_lifetime_does_not_take_back_what_was_promised() {
    let pool = tables().await;
    let long = KeyOptions {
        token_lifetime: 10 * HOUR,
        ..options()
    };
    // Made while tokens were short, used while they were long.
    for options in [options(), long] {
        Keyring::new(pool.clone(), options)
            .maintain()
            .await
            .unwrap();
    }
    pass(&pool, 31 * DAY).await;

    let ring = Keyring::new(pool.clone(), options());
    ring.maintain().await.unwrap();
    // The next key took over eight hours ago: tokens of two more hours are around.
    pass(&pool, PUBLISH_AHEAD + 8 * HOUR).await;
    ring.maintain().await.unwrap();
    assert_eq!(ring.published().len(), 2);
    pass(&pool, 3 * HOUR).await;
    ring.maintain().await.unwrap();
    assert_eq!(ring.published().len(), 1);
}
