//! A look behind the scenes: a service's database.

use sqlx::{Connection, PgConnection};
use tokio::runtime::{Builder, Runtime};

/// Runs statements.
///
/// Panics when they fail.
pub(crate) fn execute(url: &str, statements: &'static str) {
    runtime().block_on(async {
        let mut database = PgConnection::connect(url).await.expect("the database");
        sqlx::raw_sql(statements)
            .execute(&mut database)
            .await
            .expect("the statements");
    });
}

/// How many mails about orders the notifications' delivery log says were sent, all in all or to one user;
/// nothing while the database is away.
pub(crate) fn mails_sent(url: &str, user_id: Option<&str>) -> Option<usize> {
    const SENT: &str = "SELECT count(DISTINCT order_id) FROM deliveries
         WHERE state = 'sent' AND (user_id = $1::uuid OR $1 IS NULL)";
    let count: i64 = runtime().block_on(async {
        let mut database = PgConnection::connect(url).await.ok()?;
        let count = sqlx::query_scalar(SENT).bind(user_id);
        count.fetch_one(&mut database).await.ok()
    })?;
    usize::try_from(count).ok()
}

/// The one number that a statement answers.
///
/// Panics when it fails.
pub(crate) fn number(url: &str, statement: &'static str) -> i64 {
    runtime().block_on(async {
        let mut database = PgConnection::connect(url).await.expect("the database");
        let number = sqlx::query_scalar(statement);
        number.fetch_one(&mut database).await.expect("a number")
    })
}

/// The three numbers that a statement answers.
///
/// Panics when it fails.
pub(crate) fn numbers(url: &str, statement: &'static str) -> [i64; 3] {
    let numbers: (i64, i64, i64) = runtime().block_on(async {
        let mut database = PgConnection::connect(url).await.expect("the database");
        let numbers = sqlx::query_as(statement);
        numbers
            .fetch_one(&mut database)
            .await
            .expect("three numbers")
    });
    numbers.into()
}

/// The private half of the key with which users signs.
///
/// Panics when there is no such key.
pub(crate) fn signing_seed(url: &str, kid: &str) -> [u8; 32] {
    let seed: Vec<u8> = runtime().block_on(async {
        let mut database = PgConnection::connect(url).await.expect("the database");
        let seed = sqlx::query_scalar("SELECT seed FROM signing_keys WHERE kid = $1");
        let seed = seed.bind(kid).fetch_one(&mut database).await;
        seed.expect("the key")
    });
    seed.try_into().expect("32 bytes")
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
