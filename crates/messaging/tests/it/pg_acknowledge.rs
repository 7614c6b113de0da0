//! Acknowledging in the PostgreSQL queue, beside whoever changes the same row.

use std::time::Duration;

use messaging::Queue;
use messaging::pg_queue::ConsumeOptions;

use crate::support::logged::Logged;
use crate::support::pg::{Pg, consume, options};
use crate::support::{Gate, Recorder, eventually};

/// Whether somebody waits for a lock in this database.
const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
                                     WHERE datname = current_database() AND wait_event_type = 'Lock')";

/// How many extensions of a lease wait for a lock.
const EXTENSIONS: &str = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'
                             AND query LIKE 'UPDATE mq_message SET visible_at%'";

/// What extends a lease may be on its way when the handler is done. The acknowledgement waits for it, and then the row is in
/// another place than it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_lease_is_being_extended_is_acknowledged() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let gate = Gate::closed();
    let passes = gate.clone();
    let handler = Recorder::with(move |_| {
        let passes = passes.clone();
        async move {
            passes.pass().await;
            Ok(())
        }
    });
    let running = consume(&pg.queue, "jobs", options(), handler.clone());
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    let mut extends = pg.pool.begin().await.unwrap();
    sqlx::query("UPDATE mq_message SET visible_at = visible_at + interval '1 hour'")
        .execute(&mut *extends)
        .await
        .unwrap();
    gate.open();
    eventually("the acknowledgement waits", async || {
        let waits: bool = sqlx::query_scalar(WAITS).fetch_one(&pg.pool).await.unwrap();
        waits
    })
    .await;
    extends.commit().await.unwrap();
    eventually("it is acknowledged", async || pg.count("jobs").await == 0).await;
    running.stop().await;
}

/// On one thread, whose log can be read.
#[tokio::test]
async fn who_gets_no_answer_to_a_result_gives_it_up_with_the_lease() {
    let (pg, log) = (Pg::start().await, Logged::begin());
    pg.queue.declare("jobs").await.unwrap();
    let gate = Gate::closed();
    let passes = gate.clone();
    let handler = Recorder::with(move |_| {
        let passes = passes.clone();
        async move {
            passes.pass().await;
            Ok(())
        }
    });
    let short = ConsumeOptions {
        visibility: Duration::from_millis(300),
        ..options()
    };
    let running = consume(&pg.queue, "jobs", short, handler.clone());
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    let mut hangs = pg.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE mq_message")
        .execute(&mut *hangs)
        .await
        .unwrap();
    eventually("its lease is extended by another connection", async || {
        let (waiting,): (i64,) = sqlx::query_as(EXTENSIONS)
            .fetch_one(&pg.pool)
            .await
            .unwrap();
        waiting > 1
    })
    .await;
    gate.open();
    eventually("it is given up", async || {
        let mut told = log.of("INFO").into_iter();
        told.any(|line| line.contains("was not stored before its lease expired"))
    })
    .await;
    hangs.rollback().await.unwrap();
    eventually("it is gone", async || pg.count("jobs").await == 0).await;
    running.stop().await;
}
