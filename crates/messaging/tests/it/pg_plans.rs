//! How the PostgreSQL queue's consumers ask.

use sqlx::PgConnection;

use crate::support::pg::Pg;

const CLAIM: &str = "SELECT * FROM mq_claim('jobs', 10, gen_random_uuid(), 60)";
const ACKNOWLEDGE: &str = "SELECT * FROM mq_acknowledge('{1}', ARRAY[gen_random_uuid()])";

/// What is lost with the server then is delivered again, which at-least-once allows. And a plan by a bitmap would visit all messages that
/// have gone since the index was cleaned up.
#[tokio::test]
async fn claims_and_acknowledgements_wait_for_no_disk_and_use_no_bitmap() {
    let pg = Pg::start().await;
    for ask in [CLAIM, ACKNOWLEDGE] {
        let mut tx = pg.pool.begin().await.unwrap();
        // A private cluster of tests waits for no disk by itself.
        let set = sqlx::raw_sql("SET LOCAL synchronous_commit = on");
        set.execute(&mut *tx).await.unwrap();
        sqlx::raw_sql(ask).execute(&mut *tx).await.unwrap();
        assert_eq!(settings(&mut tx).await, ["off"; 3], "{ask}");
        tx.rollback().await.unwrap();
    }
}

async fn settings(connection: &mut PgConnection) -> Vec<String> {
    let names = "SELECT current_setting(name)
                   FROM unnest(ARRAY['synchronous_commit', 'enable_seqscan', 'enable_bitmapscan']) AS name";
    sqlx::query_scalar(names)
        .fetch_all(connection)
        .await
        .unwrap()
}
