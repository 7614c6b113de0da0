//! Publishing to the PostgreSQL queue: fanout, delays, what is rejected, and who is woken.

use std::time::{Duration, Instant};

use futures::future::join_all;
use messaging::pg_queue::{ConsumeOptions, PAYLOAD_MAX_BYTES, PgQueue};
use messaging::{Destination, Message, MessagingError, PublishError, Publisher, Queue};
use sqlx::postgres::PgPoolOptions;

use crate::support::pg::{Pg, consume, options};
use crate::support::{Recorder, body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_a_delay_comes_after_it_and_not_before() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::new();
    let running = consume(&pg.queue, "jobs", options(), handler.clone());
    let delay = Duration::from_millis(400);
    let sent = Instant::now();
    let to = Destination::Queue("jobs".into());
    pg.queue
        .publish_after(&to, Message::new("late"), delay)
        .await
        .unwrap();
    pg.send("jobs", "soon").await;
    handler.wait_done(2).await;
    assert!(sent.elapsed() >= delay, "{:?}", sent.elapsed());
    assert_eq!(handler.done_bodies(), ["soon", "late"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_copies_to_the_queues_that_are_bound() {
    let pg = Pg::start().await;
    let exchange = Destination::Exchange("user.created".into());
    // Nobody is bound: accepted and dropped.
    pg.queue
        .publish(&exchange, Message::new("early"))
        .await
        .unwrap();
    for name in ["mail", "stats", "unbound"] {
        pg.queue.declare(name).await.unwrap();
    }
    for name in ["mail", "stats"] {
        pg.queue.bind("user.created", name).await.unwrap();
        pg.queue.bind("user.created", name).await.unwrap();
    }
    pg.queue
        .publish(&exchange, Message::new("hello").with_key("u1"))
        .await
        .unwrap();
    for (name, copies) in [("mail", 1), ("stats", 1), ("unbound", 0)] {
        assert_eq!(pg.count(name).await, copies, "{name}");
    }
    let (mail, stats) = (Recorder::new(), Recorder::new());
    let first = consume(&pg.queue, "mail", options(), mail.clone());
    let second = consume(&pg.queue, "stats", options(), stats.clone());
    assert_eq!(body(&mail.wait_done(1).await[0]), "hello");
    assert_eq!(
        stats.wait_done(1).await[0].message.key.as_deref(),
        Some("u1")
    );
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_can_never_be_queued_is_rejected() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let publish = async |to: Destination, message: Message| pg.queue.publish(&to, message).await;
    let jobs = || Destination::Queue("jobs".into());
    for (to, message) in [
        (Destination::Queue("jbos".into()), Message::new("a typo")),
        (
            Destination::Queue("no such name".into()),
            Message::new("a space"),
        ),
        (Destination::Topic("jobs".into()), Message::new("a topic")),
        (jobs(), Message::new(vec![0; PAYLOAD_MAX_BYTES + 1])),
        (jobs(), Message::new("x").with_header("zero", "a\0b")),
        (jobs(), Message::new("x").with_key("a\0b")),
    ] {
        let answer = publish(to.clone(), message).await;
        assert!(
            matches!(answer, Err(PublishError::Rejected(_))),
            "{to}: {answer:?}"
        );
    }
    publish(jobs(), Message::new(vec![0; PAYLOAD_MAX_BYTES]))
        .await
        .unwrap();
    assert_eq!(pg.count("jobs").await, 1);
    let error = pg
        .queue
        .bind("user.created", "undeclared")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, MessagingError::Name(text) if text.contains("undeclared")),
        "{error}"
    );
    assert!(matches!(
        pg.queue.declare("").await,
        Err(MessagingError::Name(_))
    ));
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
