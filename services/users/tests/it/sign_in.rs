//! `Authenticate`: what it tells, what it costs, and how much of it goes on at once.

use contracts::users::v1::AuthenticateRequest;
use futures::future::join_all;
use tonic::Code;
use users::{
    Error,
    accounts::Accounts,
    budgets::{BudgetOptions, Budgets},
    domain::{NewUser, Password},
    keys::{KeyOptions, Keyring, PUBLISH_AHEAD},
    origin::Origin,
    passwords::{HashOptions, Hasher},
};

use std::time::Duration;

use crate::app::{ADMIN, App, PASSWORD, Setup, assert_unavailable};

/// The longest that any of this takes by far.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_sign_in_returns_a_token_and_its_lifetime() {
    let app = Setup::new().with(["--token-lifetime=7m"]).start().await;
    app.sign_up("ada@example.com").await.unwrap();
    let session = app.authenticate("ADA@example.com", PASSWORD).await.unwrap();
    assert_eq!(
        (session.token_type.as_str(), session.expires_in),
        ("Bearer", 420)
    );
}

#[tokio::test]
async fn a_token_may_be_shorter_than_others_and_not_longer() {
    let app = Setup::new().with(["--token-lifetime=7m"]).start().await;
    app.sign_up("ada@example.com").await.unwrap();
    for (asked, granted) in [(3, 3), (0, 420), (u32::MAX, 420)] {
        let request = AuthenticateRequest {
            email: "ada@example.com".to_owned(),
            password: PASSWORD.to_owned(),
            expires_in: asked,
        };
        let session = app.client.clone().authenticate(request).await.unwrap();
        assert_eq!(session.into_inner().expires_in, granted, "{asked}");
    }
}

#[tokio::test]
async fn who_has_an_account_is_not_told() {
    let app = App::start().await;
    app.sign_up("ada@example.com").await.unwrap();
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong password"),
        ("eve@example.com", "wrong password"),
        ("no address", "wrong password"),
        ("nul\0@example.com", ""),
        ("", ""),
    ] {
        let status = app.authenticate(email, password).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        answers.push((status.message().to_owned(), status.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

fn hasher(iterations: u32) -> Hasher {
    let options = HashOptions {
        memory_kib: 64,
        iterations,
        concurrency: 2,
        wait: Duration::from_secs(30),
    };
    Hasher::new(&options).unwrap()
}

/// The parts of the service without its doors, to count what they do.
async fn accounts() -> Accounts {
    // A service that ran here once left its tables.
    let setup = Setup::new();
    let url = setup.database.url.clone();
    setup.start().await.stop().await.unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let keys = KeyOptions {
        token_lifetime: Duration::from_secs(900),
        rotation: Duration::ZERO,
        publish_ahead: PUBLISH_AHEAD,
    };
    Accounts {
        hasher: hasher(1),
        budgets: Budgets::new(BudgetOptions {
            of_address: 100,
            of_account: 100,
        }),
        keyring: Keyring::new(pool.clone(), keys),
        outbox: outbox::Outbox::new(),
        pool,
    }
}

#[tokio::test]
async fn an_unknown_email_costs_what_a_wrong_password_costs() {
    let accounts = accounts().await;
    let ada = NewUser::parse("ada@example.com", "Ada", PASSWORD).unwrap();
    accounts.sign_up(Origin::Unknown, ada).await.unwrap();
    let cost = async |email: &str, password: &str| {
        let before = accounts.hasher.performed();
        let password = Password::claimed(password.to_owned());
        let result = accounts
            .sign_in(Origin::Unknown, email, password, None)
            .await;
        (accounts.hasher.performed() - before, result)
    };
    for (email, password) in [
        ("ada@example.com", "wrong"),
        ("eve@example.com", "wrong"),
        ("no address", "wrong"),
    ] {
        let (hashes, result) = cost(email, password).await;
        assert_eq!(hashes, 1, "{email}");
        assert!(matches!(result, Err(Error::BadCredentials)));
    }
    let (hashes, result) = cost("ada@example.com", PASSWORD).await;
    assert_eq!(hashes, 1);
    result.unwrap();
}

#[tokio::test]
async fn a_refused_sign_up_announces_nothing() {
    let accounts = accounts().await;
    let ada = || NewUser::parse("ada@example.com", "Ada", PASSWORD).unwrap();
    let rows = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE convert_from(payload, 'UTF8') LIKE '%ada@example.com%'")
            .fetch_one(&accounts.pool)
            .await
            .unwrap()
    };
    accounts.sign_up(Origin::Unknown, ada()).await.unwrap();
    assert_eq!(rows().await, 2, "one for the topic, one for the exchange");
    let refused = accounts.sign_up(Origin::Unknown, ada()).await;
    assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    assert_eq!(rows().await, 2);

    // The other way round: an event that cannot be written takes the account back with it.
    sqlx::query("DROP TABLE outbox")
        .execute(&accounts.pool)
        .await
        .unwrap();
    let eve = NewUser::parse("eve@example.com", "Eve", PASSWORD).unwrap();
    accounts.sign_up(Origin::Unknown, eve).await.unwrap_err();
    let eves: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users WHERE email = 'eve@example.com'")
            .fetch_one(&accounts.pool)
            .await
            .unwrap();
    assert_eq!(eves, 0);
}

#[tokio::test]
async fn a_hash_of_older_parameters_is_replaced() {
    let setup = Setup::new();
    let database = setup.database.clone();
    let app = setup.start().await;
    app.sign_up("ada@example.com").await.unwrap();
    app.stop().await.unwrap();

    let app = Setup::on(database)
        .with(["--hash-iterations=2"])
        .start()
        .await;
    let old = "SELECT count(*) FROM users WHERE email = 'ada@example.com' AND password_hash LIKE '%t=1,%'";
    assert_eq!(app.count(old).await, 1);
    // A sign-in does not wait for a database that is slow: the next one tries again.
    let replaced = async {
        while app.count(old).await > 0 {
            app.token("ada@example.com").await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, replaced).await;
    in_time.expect("a new hash");
    app.token("ada@example.com").await;
}

#[tokio::test]
async fn a_hash_that_cannot_be_replaced_costs_no_sign_in() {
    let accounts = accounts().await;
    let ada = NewUser::parse("ada@example.com", "Ada", PASSWORD).unwrap();
    accounts.sign_up(Origin::Unknown, ada).await.unwrap();
    let accounts = Accounts {
        hasher: hasher(2),
        ..accounts
    };
    let renewed = async || -> i64 {
        let password = Password::claimed(PASSWORD.to_owned());
        let session = accounts.sign_in(Origin::Unknown, "ada@example.com", password, None);
        session.await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM users WHERE email = 'ada@example.com' AND password_hash LIKE '%t=2,%'")
            .fetch_one(&accounts.pool)
            .await
            .unwrap()
    };
    // Not for the rows that are there, so that only the new hash is refused.
    sqlx::query(
        "ALTER TABLE users ADD CONSTRAINT kept CHECK (password_hash NOT LIKE '%t=2,%') NOT VALID",
    )
    .execute(&accounts.pool)
    .await
    .unwrap();
    assert_eq!(renewed().await, 0);
    sqlx::query("ALTER TABLE users DROP CONSTRAINT kept")
        .execute(&accounts.pool)
        .await
        .unwrap();

    // Nor is a row waited for that somebody else has.
    let mut theirs = accounts.pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM users WHERE email = 'ada@example.com' FOR UPDATE")
        .execute(&mut *theirs)
        .await
        .unwrap();
    let beside = tokio::time::timeout(PATIENCE, renewed()).await;
    assert_eq!(beside.expect("a session"), 0);
    theirs.rollback().await.unwrap();
    let at_last = tokio::time::timeout(PATIENCE, async { while renewed().await == 0 {} }).await;
    at_last.expect("a new hash");
}

#[tokio::test]
async fn too_many_sign_ins_at_once_are_told_when_to_retry() {
    // One at a time, each long enough for the others to find it at work, and nobody waits.
    let app = Setup::new()
        .with([
            "--hash-concurrency=1",
            "--hash-wait=0",
            "--hash-memory-kib=65536",
        ])
        .start()
        .await;
    let answers = join_all((0..8).map(|_| app.authenticate("eve@example.com", "wrong"))).await;
    let (busy, served): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .map(Result::unwrap_err)
        .partition(|status| status.code() == Code::Unavailable);
    assert!(
        !busy.is_empty() && !served.is_empty(),
        "{busy:?} {served:?}"
    );
    busy.iter().for_each(assert_unavailable);
    // It passes.
    let later = app
        .authenticate("eve@example.com", "wrong")
        .await
        .unwrap_err();
    assert_eq!(later.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_admin_follows_the_configuration() {
    let setup = Setup::new();
    let database = setup.database.clone();
    let app = setup.start().await;
    app.sign_up("boss@example.com").await.unwrap();
    app.admin_token().await;
    app.stop().await.unwrap();

    // The same admin with another password.
    let app = Setup::on(database.clone())
        .with(["--admin-password=another password"])
        .start()
        .await;
    let old = app.authenticate(ADMIN, PASSWORD).await.unwrap_err();
    assert_eq!(old.code(), Code::Unauthenticated);
    app.authenticate(ADMIN, "another password").await.unwrap();
    app.stop().await.unwrap();

    // Somebody who was a customer.
    let app = Setup::on(database)
        .with(["--admin-email=BOSS@example.com"])
        .start()
        .await;
    assert_eq!(
        app.count("SELECT count(*) FROM users WHERE role = 'admin'")
            .await,
        2
    );
    assert_eq!(app.count("SELECT count(*) FROM users").await, 2);
    app.token("boss@example.com").await;
}
