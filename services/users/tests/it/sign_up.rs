//! `CreateUser`.

use contracts::limits::{EMAIL_CHARS_MAX, NAME_CHARS_MAX};
use futures::future::join_all;
use tonic::Code;
use uuid::{Uuid, Version};

use crate::app::{App, violations};

#[tokio::test]
async fn an_account_is_created_and_can_be_read() {
    let app = App::start().await;
    let before = chrono::Utc::now();
    let user = app
        .create_user("Ada@Example.com", "Ada Lovelace", "correct horse battery")
        .await
        .unwrap();
    assert_eq!(
        Uuid::parse_str(&user.id).unwrap().get_version(),
        Some(Version::SortRand)
    );
    assert_eq!(
        (user.email.as_str(), user.name.as_str()),
        ("Ada@Example.com", "Ada Lovelace")
    );
    let created = user.created_at.unwrap();
    assert!((created.seconds - before.timestamp()).abs() < 60);

    let token = app.token("ada@example.com").await;
    assert_eq!(app.get_user(&token, &user.id).await.unwrap(), user);
    app.stop().await.unwrap();
}

/// What passes the door fits into its column, and the column takes no more.
#[tokio::test]
async fn the_columns_hold_to_the_limits_of_the_fields() {
    let app = App::start().await;
    let checks: Vec<String> = sqlx::query_scalar(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint
         WHERE conrelid = 'users'::regclass AND contype = 'c'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    for (column, most) in [("email", EMAIL_CHARS_MAX), ("name", NAME_CHARS_MAX)] {
        let bound = format!("length({column}) <= {most})");
        assert!(
            checks.iter().any(|check| check.contains(&bound)),
            "{bound} is not in {checks:?}"
        );
    }
    app.stop().await.unwrap();
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = App::start().await;
    let refused = app.create_user("nobody", "", "short").await.unwrap_err();
    let (code, fields) = violations(&refused);
    assert_eq!(code, Code::InvalidArgument);
    let expected = [
        ("email", "must be an email address, like name@example.com"),
        ("name", "must not be blank"),
        ("password", "must have at least 8 characters"),
    ];
    assert_eq!(
        fields,
        expected.map(|(field, description)| (field.to_owned(), description.to_owned()))
    );

    let refused = app
        .create_user("ada@example.com", "Ada", &"x".repeat(129))
        .await
        .unwrap_err();
    assert_eq!(violations(&refused).1.len(), 1);

    // What PostgreSQL cannot store never gets there.
    for (email, name) in [("ada\0@example.com", "Ada"), ("ada@example.com", "A\0da")] {
        let refused = app
            .create_user(email, name, "correct horse")
            .await
            .unwrap_err();
        assert_eq!(violations(&refused).1.len(), 1, "{refused:?}");
    }
    assert_eq!(
        app.count("SELECT count(*) FROM users WHERE role = 'customer'")
            .await,
        0
    );
}

#[tokio::test]
async fn an_email_is_taken_in_any_letter_case() {
    let app = App::start().await;
    app.sign_up("ada@example.com").await.unwrap();
    let refused = app.sign_up("ADA@Example.COM").await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
}

#[tokio::test]
async fn of_many_at_once_one_gets_the_email() {
    let app = App::start().await;
    let answers = join_all((0..20).map(|_| app.sign_up("ada@example.com"))).await;
    let (created, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 1);
    for status in refused {
        assert_eq!(status.unwrap_err().code(), Code::AlreadyExists);
    }
    assert_eq!(
        app.count("SELECT count(*) FROM users WHERE lower(email) = 'ada@example.com'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let app = App::start().await;
    let refused = app
        .create_user("ada@example.com", &"x".repeat(2 << 20), "correct horse")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
}
