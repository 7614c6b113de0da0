//! What tests of other crates get.

use embedded::testing::fresh_database;
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn each_database_is_empty_and_its_own() {
    let (one, two) = (fresh_database(), fresh_database());
    assert_ne!(one.url, two.url);
    let mut connection = PgConnection::connect(&one.url).await.expect("a connection");
    sqlx::query("CREATE TABLE letters (id int)")
        .execute(&mut connection)
        .await
        .expect("a table");
    let mut other = PgConnection::connect(&two.url).await.expect("a connection");
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_one(&mut other)
            .await
            .expect("a count");
    assert_eq!(tables, 0);
}
