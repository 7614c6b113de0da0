//! How the PostgreSQL queue's consumers ask, whatever the server supposes of the table.

use sqlx::{PgConnection, PgPool};

use crate::support::eventually;
use crate::support::pg::Pg;

const CLAIM: &str = "SELECT * FROM mq_claim('jobs', 10, gen_random_uuid(), 60)";

/// The pages that a claim visits, in a transaction of its own.
async fn pages_of_a_claim(pool: &PgPool) -> i64 {
    let plan: serde_json::Value = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}"
    )))
    .fetch_one(pool)
    .await
    .unwrap();
    let count = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

/// With statistics of a queue that is nearly empty a bitmap of the index seems as good as any plan, and each claim would visit all
/// messages that have gone since the index was cleaned up. The index itself is told which they are by the first claim that meets
/// them, as soon as no transaction can see them any more.
#[tokio::test]
async fn a_claim_visits_no_message_that_has_gone() {
    const GONE: i64 = 3000;
    let pg = Pg::start().await;
    let fill = "
        ALTER TABLE mq_message SET (autovacuum_enabled = off);
        INSERT INTO mq_message (queue, headers, payload)
        SELECT 'jobs', '[]', '' FROM generate_series(1, 20);
        ANALYZE mq_message;
        INSERT INTO mq_message (queue, headers, payload)
        SELECT 'jobs', '[]', repeat('x', 500)::bytea FROM generate_series(1, 3000);
        DELETE FROM mq_message";
    sqlx::raw_sql(fill).execute(&pg.pool).await.unwrap();
    eventually("a claim passes over what has gone", async || {
        pages_of_a_claim(&pg.pool).await < GONE / 20
    })
    .await;
}

/// What is lost with the server then is delivered again, which at-least-once allows.
#[tokio::test]
async fn claims_and_acknowledgements_do_not_wait_for_the_disk() {
    let pg = Pg::start().await;
    for ask in [
        CLAIM,
        "SELECT * FROM mq_acknowledge('{1}', ARRAY[gen_random_uuid()])",
    ] {
        let mut tx = pg.pool.begin().await.unwrap();
        let set = sqlx::raw_sql("SET LOCAL synchronous_commit = on");
        set.execute(&mut *tx).await.unwrap();
        sqlx::raw_sql(ask).execute(&mut *tx).await.unwrap();
        assert_eq!(synchronous(&mut tx).await, "off", "{ask}");
        tx.rollback().await.unwrap();
    }
}

async fn synchronous(connection: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
        .fetch_one(connection)
        .await
        .unwrap()
}
