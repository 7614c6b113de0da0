//! Consuming from the PostgreSQL queue: competition, leases, stops, and a database that is away.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use messaging::pg_queue::{ConsumeOptions, PgQueue};
use messaging::{Destination, Message, PublishError, Publisher, Queue, Status};
use sqlx::postgres::PgPoolOptions;

use crate::support::logged::Logged;
use crate::support::pg::{Pg, consume, consume_watched, options};
use crate::support::{Gate, Recorder, Watched, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_consumers_message_comes_again_when_its_lease_runs_out() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let visibility = Duration::from_millis(600);
    let dying = Recorder::with(|_| async { std::future::pending().await });
    let short = ConsumeOptions {
        visibility,
        ..options()
    };
    let consumer = tokio::spawn({
        let (queue, handler, options) = (pg.queue.clone(), dying.clone(), short.clone());
        async move {
            queue
                .consume(
                    "jobs",
                    options,
                    handler,
                    Status::ignore(),
                    Default::default(),
                )
                .await
        }
    });
    let begun = Instant::now();
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !dying.seen().is_empty()).await;
    consumer.abort();

    let heir = Recorder::new();
    let running = consume(&pg.queue, "jobs", short, heir.clone());
    let got = heir.wait_done(1).await.remove(0);
    // The claim, from which the lease counts, was behind the beginning, and may have been long before the death.
    let waited = begun.elapsed();
    assert!(waited >= visibility, "too early: {waited:?}");
    // The dying one itself may have lost its lease once and claimed again.
    assert!(got.attempt > 1, "no claim is forgotten");
    running.stop().await;
    assert_eq!(pg.count("jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_handler_keeps_its_lease() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    // Two thirds of it, which an extension may be late by, are long beside what a busy machine makes it late by.
    let lease = Duration::from_secs(4);
    let short = ConsumeOptions {
        visibility: lease,
        ..options()
    };
    let slow = || {
        Recorder::with(move |_| async move {
            tokio::time::sleep(lease * 5 / 4).await;
            Ok(())
        })
    };
    let (one, two) = (slow(), slow());
    let first = consume(&pg.queue, "jobs", short.clone(), one.clone());
    let second = consume(&pg.elsewhere(), "jobs", short, two.clone());
    pg.send("jobs", "x").await;
    eventually("it is done", async || {
        one.done().len() + two.done().len() == 1
    })
    .await;
    eventually("it is acknowledged", async || pg.count("jobs").await == 0).await;
    assert_eq!(
        one.seen().len() + two.seen().len(),
        1,
        "another consumer took it meanwhile"
    );
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_lost_its_lease_touches_the_message_no_more() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let running = consume(&pg.queue, "jobs", options(), handler.clone());
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    // Its lease ran out and somebody else has it.
    let other = uuid::Uuid::new_v4();
    sqlx::query("UPDATE mq_message SET lease = $1, visible_at = now() + interval '1 hour'")
        .bind(other)
        .execute(&pg.pool)
        .await
        .unwrap();
    gate.open();
    handler.wait_done(1).await;
    running.stop().await;
    let lease: Option<uuid::Uuid> = sqlx::query_scalar("SELECT lease FROM mq_message")
        .fetch_one(&pg.pool)
        .await
        .unwrap();
    assert_eq!(lease, Some(other), "the other's message is gone or changed");
}

/// On one thread, whose log can be read.
#[tokio::test]
async fn leases_that_are_lost_are_no_warnings() {
    const IN_HAND: usize = 8;
    let (pg, log) = (Pg::start().await, Logged::begin());
    pg.queue.declare("jobs").await.unwrap();
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let running = consume(&pg.queue, "jobs", options(), handler.clone());
    for n in 0..IN_HAND {
        pg.send("jobs", &n.to_string()).await;
    }
    eventually("all are in hand", async || handler.seen().len() == IN_HAND).await;
    sqlx::query("UPDATE mq_message SET lease = NULL, visible_at = now() + interval '1 hour'")
        .execute(&pg.pool)
        .await
        .unwrap();
    gate.open();
    handler.wait_done(IN_HAND).await;
    running.stop().await;
    let told = log.of("INFO");
    let lost = told.iter().filter(|line| line.contains("was lost"));
    assert_eq!(lost.count(), IN_HAND, "{told:?}");
    assert_eq!([log.of("WARN"), log.of("ERROR")], [[""; 0]; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_at_a_stop_is_given_back_untried() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::with(|_| async { std::future::pending().await });
    let impatient = ConsumeOptions {
        drain: Duration::from_millis(50),
        ..options()
    };
    let running = consume(&pg.queue, "jobs", impatient, handler.clone());
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    running.stop().await;
    let heir = Recorder::new();
    let begun = Instant::now();
    let running = consume(&pg.queue, "jobs", options(), heir.clone());
    let got = heir.wait_done(1).await.remove(0);
    assert_eq!(got.attempt, 1, "a stop is not the message's fault");
    assert!(
        begun.elapsed() < options().visibility / 2,
        "it waited for the lease"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_leaves_no_message_behind_a_lease() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    for n in 0..300 {
        pg.send("jobs", &n.to_string()).await;
    }
    let mut done = 0;
    // Often, since it takes a claim that is on its way at that very moment.
    for round in 1..=30 {
        let handler = Recorder::new();
        let running = consume(&pg.queue, "jobs", options(), handler.clone());
        handler.wait_done(1 + round % 7).await;
        running.stop().await;
        done += handler.done().len();
        let leased: i64 =
            sqlx::query_scalar("SELECT count(*) FROM mq_message WHERE lease IS NOT NULL")
                .fetch_one(&pg.pool)
                .await
                .unwrap();
        assert_eq!(leased, 0, "round {round}");
        if done > 250 {
            break;
        }
    }
}

/// The pages of the messages, in the order of their ids.
async fn pages(pg: &Pg) -> Vec<i32> {
    sqlx::query_scalar("SELECT (ctid::text::point)[0]::integer FROM mq_message ORDER BY id")
        .fetch_all(&pg.pool)
        .await
        .unwrap()
}

/// A claim does not write the message a second time: of a row that stays in its page the log has what changed, and of
/// one that moves to another page it has the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claimed_message_stays_where_it_was_written() {
    const MESSAGES: usize = 60;
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    for _ in 0..MESSAGES {
        pg.send("jobs", &"x".repeat(500)).await;
    }
    let written = pages(&pg).await;
    assert!(written.last() > written.first(), "more than one page");
    let many = ConsumeOptions {
        concurrency: MESSAGES,
        ..options()
    };
    let busy = Recorder::with(|_| async { std::future::pending().await });
    let consumer = tokio::spawn({
        let (queue, handler) = (pg.queue.clone(), busy.clone());
        async move {
            let stop = Default::default();
            let status = Status::ignore();
            queue.consume("jobs", many, handler, status, stop).await
        }
    });
    eventually("all are in hand", async || busy.seen().len() == MESSAGES).await;
    assert_eq!(pages(&pg).await, written);
    consumer.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_waited_for() {
    let database = embedded::testing::fresh_database();
    let pool = PgPoolOptions::new()
        .max_connections(5)
        .connect(&database.url)
        .await
        .unwrap();
    let queue = PgQueue::new(pool.clone());
    let watched = Watched::new();
    let handler = Recorder::new();
    // No table is there yet.
    let running = consume_watched(&queue, "jobs", options(), handler.clone(), watched.status());
    watched.down().await;
    let answer = queue
        .publish(&Destination::Queue("jobs".into()), Message::new("x"))
        .await;
    assert!(
        matches!(answer, Err(PublishError::Unavailable(_))),
        "{answer:?}"
    );
    queue.install().await.unwrap();
    watched.up().await;
    queue
        .publish(&Destination::Queue("jobs".into()), Message::new("1"))
        .await
        .unwrap();
    handler.wait_done(1).await;

    sqlx::query("ALTER TABLE mq_message RENAME TO away")
        .execute(&pool)
        .await
        .unwrap();
    watched.down().await;
    sqlx::query("ALTER TABLE away RENAME TO mq_message")
        .execute(&pool)
        .await
        .unwrap();
    watched.up().await;
    queue
        .publish(&Destination::Queue("jobs".into()), Message::new("2"))
        .await
        .unwrap();
    handler.wait_done(2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_while_the_database_is_away_is_acknowledged_when_it_is_back() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Ok(())
        }
    });
    let watched = Watched::new();
    let running = consume_watched(
        &pg.queue,
        "jobs",
        options(),
        handler.clone(),
        watched.status(),
    );
    pg.send("jobs", "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    sqlx::query("ALTER TABLE mq_message RENAME TO away")
        .execute(&pg.pool)
        .await
        .unwrap();
    watched.down().await;
    gate.open();
    handler.wait_done(1).await;
    // Nothing tells that an acknowledgement failed: leave it time for that. One that did not fail yet would
    // make this prove less, and never be red.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let back = Instant::now();
    sqlx::query("ALTER TABLE away RENAME TO mq_message")
        .execute(&pg.pool)
        .await
        .unwrap();
    eventually("it is acknowledged", async || pg.count("jobs").await == 0).await;
    assert!(
        back.elapsed() < options().visibility / 2,
        "not by being done again"
    );
    assert_eq!(handler.seen().len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_no_message() {
    const JOBS: usize = 200;
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    for n in 0..JOBS {
        pg.send("jobs", &n.to_string()).await;
    }
    let handler = Recorder::with(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    });
    let few = ConsumeOptions {
        concurrency: 4,
        visibility: Duration::from_millis(500),
        ..options()
    };
    let running = consume(&pg.queue, "jobs", few, handler.clone());
    let mut left = i64::try_from(JOBS).unwrap();
    while left > 0 {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let _itself_may_be_cut = sqlx::query(cut).execute(&pg.pool).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        // Cut again only when something was done: connecting may take longer than that.
        let before = left;
        eventually("fewer jobs are left", async || {
            let now = sqlx::query_scalar("SELECT count(*) FROM mq_message")
                .fetch_one(&pg.pool)
                .await;
            left = now.unwrap_or(before);
            left < before
        })
        .await;
    }
    running.stop().await;
    let done: HashSet<_> = handler.done_bodies().into_iter().collect();
    assert_eq!(done.len(), JOBS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_takes_its_consumers_down_is_parked() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    pg.send("jobs", "killer").await;
    // As many deaths as there are attempts: each claim counted, none settled.
    let limited = ConsumeOptions {
        max_attempts: 3,
        ..options()
    };
    sqlx::query("UPDATE mq_message SET attempts = 3")
        .execute(&pg.pool)
        .await
        .unwrap();
    let handler = Recorder::new();
    let running = consume(&pg.queue, "jobs", limited, handler.clone());
    eventually("it is parked", async || pg.count("jobs.dead").await == 1).await;
    assert!(handler.seen().is_empty(), "it was handled once more");
    running.stop().await;
}
