//! Publishing to the PostgreSQL queue: what is rejected, and who is woken.

use std::time::{Duration, Instant};

use futures::future::join_all;
use messaging::pg_queue::{ConsumeOptions, PgQueue};
use messaging::{Destination, Message, PublishError, Publisher, Queue};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::pg::{Pg, consume, options};
use crate::support::{Recorder, eventually};

#[tokio::test]
async fn a_zero_byte_is_rejected() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let to = Destination::Queue("jobs".into());
    for message in [
        Message::new("x").with_header("zero", "a\0b"),
        Message::new("x").with_key("a\0b"),
    ] {
        let answer = pg.queue.publish(&to, message).await;
        assert!(
            matches!(answer, Err(PublishError::Rejected(_))),
            "{answer:?}"
        );
    }
}

/// By hand, with headers that are no list. It is claimed together with the others.
#[tokio::test]
async fn a_row_of_another_form_does_not_fail_its_neighbours() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let by_hand =
        "INSERT INTO mq_message (queue, headers, payload) VALUES ('jobs', '{}', 'by hand')";
    sqlx::query(by_hand).execute(&pg.pool).await.unwrap();
    pg.send("jobs", "neighbour").await;
    let handler = Recorder::new();
    let running = consume(&pg.queue, "jobs", options(), handler.clone());
    let done = handler.wait_done(2).await;
    assert!(done.iter().all(|delivery| delivery.attempt == 1));
    running.stop().await;
}

/// How long publishers wait at most: for a connection, or for an answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// So many that waiting for each other would take them 20 s.
const PUBLISHERS: u32 = 100;

/// Nobody waits for a database that is away longer than for one connection, and for the statement before.
#[tokio::test]
async fn publishers_together_wait_for_an_absent_database_together() {
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy("postgres://127.0.0.1:1/away")
        .unwrap();
    fail_together(&PgQueue::new(pool)).await;
}

#[tokio::test]
async fn publishers_together_wait_for_a_database_that_hangs_together() {
    let pg = Pg::start().await;
    let options: PgConnectOptions = (*pg.pool.connect_options()).clone();
    let limited = options.options([("statement_timeout", PATIENCE.as_millis().to_string())]);
    let limited = PgPoolOptions::new().connect_lazy_with(limited);
    let mut hangs = pg.pool.begin().await.unwrap();
    let lock = sqlx::query("LOCK TABLE mq_queue").execute(&mut *hangs);
    lock.await.unwrap();
    fail_together(&PgQueue::new(limited)).await;
}

async fn fail_together(queue: &PgQueue) {
    let to = Destination::Queue("jobs".into());
    let begun = Instant::now();
    let sent = join_all((0..PUBLISHERS).map(|_| queue.publish(&to, Message::new("x")))).await;
    let waited = begun.elapsed();
    for answer in sent {
        assert!(
            matches!(answer, Err(PublishError::Unavailable(_))),
            "{answer:?}"
        );
    }
    assert!(waited < PATIENCE * PUBLISHERS / 2, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_the_same_process_wakes_the_consumer() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::new();
    let lazy = ConsumeOptions {
        poll: Duration::from_secs(3600),
        concurrency: 2,
        ..options()
    };
    let running = consume(&pg.queue, "jobs", lazy, handler.clone());
    // Two at a time, the second at any moment of the look that the first caused.
    for round in 0..300 {
        let second = async {
            for _ in 0..round % 50 {
                tokio::task::yield_now().await;
            }
            pg.send("jobs", "second").await;
        };
        tokio::join!(pg.send("jobs", "first"), second);
        handler.wait_done(2 * (round + 1)).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_another_process_is_found_by_looking() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::new();
    let running = consume(&pg.elsewhere(), "jobs", options(), handler.clone());
    pg.send("jobs", "1").await;
    handler.wait_done(1).await;
    pg.send("jobs", "2").await;
    handler.wait_done(2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_install_at_once() {
    let database = embedded::testing::fresh_database();
    let pool = PgPoolOptions::new()
        .max_connections(12)
        .connect(&database.url)
        .await
        .unwrap();
    let installs = (0..12).map(|_| {
        let queue = PgQueue::new(pool.clone());
        tokio::spawn(async move { queue.install().await })
    });
    for installed in join_all(installs).await {
        installed.unwrap().unwrap();
    }
}

/// A replica has published and not committed: DDL would wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installing_again_waits_for_no_writer() {
    let pool = Pg::start().await.pool;
    let mut writer = pool.begin().await.unwrap();
    let write = "INSERT INTO mq_message (queue, headers, payload) VALUES ('jobs', '[]', '')";
    sqlx::query(write).execute(&mut *writer).await.unwrap();

    let options = (*pool.connect_options()).clone();
    let impatient = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.options([("lock_timeout", "100ms")]))
        .await
        .unwrap();
    PgQueue::new(impatient).install().await.unwrap();
    writer.commit().await.unwrap();
}

/// Tables of the version before this program's, which said nothing of itself.
#[tokio::test]
async fn older_tables_are_changed() {
    let Pg { queue, pool } = Pg::start().await;
    let older = "COMMENT ON TABLE mq_message IS NULL;
        ALTER TABLE mq_message RESET (autovacuum_vacuum_threshold)";
    sqlx::raw_sql(older).execute(&pool).await.unwrap();
    queue.install().await.unwrap();
    let options: Vec<String> =
        sqlx::query_scalar("SELECT unnest(reloptions) FROM pg_class WHERE relname = 'mq_message'")
            .fetch_all(&pool)
            .await
            .unwrap();
    let threshold = "autovacuum_vacuum_threshold=1000".to_owned();
    assert!(options.contains(&threshold), "{options:?}");
}

/// Who publishes waits behind a change, but not for as long as that has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_tables_lets_others_go_first() {
    let Pg { queue, pool } = Pg::start().await;
    queue.declare("jobs").await.unwrap();
    let older = "COMMENT ON TABLE mq_message IS NULL";
    sqlx::raw_sql(older).execute(&pool).await.unwrap();
    let mut long = pool.begin().await.unwrap();
    let write = "INSERT INTO mq_message (queue, headers, payload) VALUES ('jobs', '[]', '')";
    sqlx::query(write).execute(&mut *long).await.unwrap();
    let changing = queue.clone();
    let change = tokio::spawn(async move { changing.install().await });
    eventually("the change waits", async || {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        waits
    })
    .await;
    let to = Destination::Queue("jobs".into());
    let sent = queue.publish(&to, Message::new("x"));
    let sent = tokio::time::timeout(crate::support::PATIENCE, sent).await;
    sent.expect("a turn").unwrap();
    assert!(!change.is_finished());
    long.commit().await.unwrap();
    change.await.unwrap().unwrap();
}
