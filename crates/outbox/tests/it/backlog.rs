//! What a long backlog costs.

use sqlx::{Connection as _, PgConnection};

use crate::fixture::Service;

const LANES: i16 = 16;
const BATCH: i64 = 10;

/// The first half of a pass over all lanes. Returns how many rows it took, and how many PostgreSQL read for that.
async fn claim(connection: &mut PgConnection) -> (i64, i64) {
    let mut tx = connection.begin().await.unwrap();
    let before = rows_read(&mut tx).await;
    let taken = sqlx::query_scalar(
        "SELECT count(*) FROM outbox_claim(1, $1, '{}', '{}', '{}', $2, 1000000)",
    )
    .bind((0..LANES).collect::<Vec<_>>())
    .bind(BATCH)
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    let read = rows_read(&mut tx).await - before;
    tx.rollback().await.unwrap();
    (taken, read)
}

/// The rows of the outbox that this connection has read and not reported yet, which it does between transactions.
async fn rows_read(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
         FROM pg_stat_xact_user_tables WHERE relname = 'outbox'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

/// How PostgreSQL reads a batch, with literals in place of the variables of the function.
async fn plan(connection: &mut PgConnection) -> String {
    let function = include_str!("../../src/function.sql");
    let (_, query) = function.split_once("RETURN QUERY").unwrap();
    let (query, _) = query.split_once(';').unwrap();
    let query = [
        ("taken_lanes", "'{0, 1}'::smallint[]"),
        ("held_destinations", "'{}'::text[]"),
        ("destinations_of_keys", "'{topic:counts}'::text[]"),
        ("held_keys", "'{key}'::text[]"),
        ("rows_max", "10"),
        ("bytes_max", "1000000"),
    ]
    .into_iter()
    .fold(query.to_owned(), |query, (name, literal)| {
        query.replace(name, literal)
    });
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {query}")))
        .fetch_all(connection)
        .await
        .unwrap();
    lines.join("\n")
}

/// A relay holds up to a thousand keys, and a backlog may be of theirs alone.
#[tokio::test]
async fn a_row_is_not_compared_with_each_key_that_is_held_back() {
    let service = Service::start().await;
    let mut connection = service.pool.acquire().await.unwrap();
    let plan = plan(&mut connection).await;
    assert!(plan.contains("hashed SubPlan"), "{plan}");
}

/// What a broker that forgets leaves: rows that were sent. PostgreSQL has looked at them since, and seen none that waits.
async fn keep_some_and_analyze(connection: &mut PgConnection) {
    sqlx::raw_sql(
        "INSERT INTO outbox (lane, destination, key, headers, payload, sent_at)
         SELECT n % 16, 'topic:counts', 'key', '[]', '', now() FROM generate_series(1, 100) AS n;
         ANALYZE outbox",
    )
    .execute(connection)
    .await
    .unwrap();
}

/// Plans are made when few rows wait, or none, and are kept; whatever PostgreSQL knows of the table by then.
#[tokio::test]
async fn a_pass_reads_no_more_of_a_long_backlog_than_of_a_short_one() {
    for is_analyzed in [false, true] {
        let service = Service::start().await;
        let mut connection = service.pool.acquire().await.unwrap();
        if is_analyzed {
            keep_some_and_analyze(&mut connection).await;
        }
        for _ in 0..10 {
            claim(&mut connection).await;
        }
        sqlx::query(
            "INSERT INTO outbox (lane, destination, key, headers, payload)
             SELECT n % 16, 'topic:counts', 'key-' || n % 16, '[]', '' FROM generate_series(1, 5000) AS n",
        )
        .execute(&mut *connection)
        .await
        .unwrap();
        let (taken, read) = claim(&mut connection).await;
        assert_eq!(taken, BATCH);
        // One row of each lane, to see whether it has any; a batch of each lane; and the batch itself.
        let needed = i64::from(LANES) * (1 + BATCH) + BATCH;
        let is_needed = (taken..=needed).contains(&read);
        assert!(is_needed, "{read} rows were read, analyzed: {is_analyzed}");
    }
}

/// The look of a worker that nobody has woken. Returns whether any lane has rows, and how many PostgreSQL read for that.
async fn look(connection: &mut PgConnection) -> (bool, i64) {
    let mut tx = connection.begin().await.unwrap();
    let before = rows_read(&mut tx).await;
    let has_rows = sqlx::query_scalar("SELECT outbox_has_rows($1)")
        .bind((0..LANES).collect::<Vec<_>>())
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let read = rows_read(&mut tx).await - before;
    tx.rollback().await.unwrap();
    (has_rows, read)
}

/// Its plan is made when nothing waits and some are kept, too.
#[tokio::test]
async fn a_look_reads_neither_what_waits_nor_what_was_sent() {
    let service = Service::start().await;
    let mut connection = service.pool.acquire().await.unwrap();
    keep_some_and_analyze(&mut connection).await;
    for _ in 0..10 {
        let (has_rows, _) = look(&mut connection).await;
        assert!(!has_rows);
    }
    let wait = "INSERT INTO outbox (lane, destination, key, headers, payload)
                SELECT n % 16, 'topic:counts', 'key', '[]', '' FROM generate_series(1, 5000) AS n";
    sqlx::raw_sql(wait).execute(&mut *connection).await.unwrap();
    let (has_rows, read) = look(&mut connection).await;
    assert!(
        has_rows && read <= i64::from(LANES),
        "{read} rows were read"
    );
    let sent = "UPDATE outbox SET sent_at = now()";
    sqlx::raw_sql(sent).execute(&mut *connection).await.unwrap();
    assert_eq!(look(&mut connection).await, (false, 0));
}
