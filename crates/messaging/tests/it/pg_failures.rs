//! Handlers that fail on the PostgreSQL queue: delayed, then parked with the reason.

use std::time::{Duration, Instant};

use messaging::pg_queue::ConsumeOptions;
use messaging::{Destination, MAX_PANICS, Message, Publisher, Queue, dead_letter};

use crate::support::pg::{Pg, consume, options};
use crate::support::{Recorder, body, eventually, permanent, transient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_message_is_delayed_and_others_pass_it() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "flaky" && delivery.attempt == 1 {
            Err(transient("busy"))
        } else {
            Ok(())
        }
    });
    let delayed = ConsumeOptions {
        concurrency: 1,
        backoff: Duration::from_millis(800),
        backoff_cap: Duration::from_secs(5),
        ..options()
    };
    let running = consume(&pg.queue, "jobs", delayed, handler.clone());
    let begun = Instant::now();
    pg.send("jobs", "flaky").await;
    eventually("it failed once", async || handler.seen().len() == 1).await;
    pg.send("jobs", "other").await;
    handler.wait_done(2).await;
    assert_eq!(handler.done_bodies(), ["other", "flaky"]);
    assert!(
        begun.elapsed() >= Duration::from_millis(400),
        "at least half of the delay: {:?}",
        begun.elapsed()
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_keeps_failing_is_parked_with_its_reason() {
    let pg = Pg::start().await;
    pg.queue.declare("jobs").await.unwrap();
    let handler = Recorder::with(|delivery| async move {
        match body(&delivery).as_str() {
            "hopeless" => Err(transient("mailbox full")),
            "poison" => Err(permanent("no address")),
            "bug" => panic!("index out of bounds"),
            _ => Ok(()),
        }
    });
    let limited = ConsumeOptions {
        max_attempts: 7,
        ..options()
    };
    let running = consume(&pg.queue, "jobs", limited, handler.clone());
    for text in ["hopeless", "poison", "bug", "fine"] {
        let message = Message::new(text).with_key("k").with_header("ce_id", text);
        pg.queue
            .publish(&Destination::Queue("jobs".into()), message)
            .await
            .unwrap();
    }
    eventually("three are parked", async || {
        pg.count("jobs.dead").await == 3
    })
    .await;
    assert_eq!(handler.done_bodies(), ["fine"]);
    assert_eq!(pg.count("jobs").await, 0);
    running.stop().await;

    let reader = Recorder::new();
    let running = consume(&pg.queue, "jobs.dead", options(), reader.clone());
    let parked = reader.wait_done(3).await;
    let story = |text: &str| {
        let found = parked.iter().find(|d| body(d) == text).unwrap();
        assert_eq!(found.message.key.as_deref(), Some("k"));
        assert_eq!(found.header("ce_id"), Some(text));
        assert_eq!(found.header(dead_letter::QUEUE), Some("jobs"));
        assert!(found.header(dead_letter::TIME).is_some());
        let header = |name| found.header(name).unwrap().to_owned();
        (header(dead_letter::REASON), header(dead_letter::ATTEMPTS))
    };
    assert_eq!(story("hopeless"), ("mailbox full".into(), "7".into()));
    assert_eq!(story("poison"), ("no address".into(), "1".into()));
    let panicked = "the handler panicked: index out of bounds".to_owned();
    assert_eq!(story("bug"), (panicked, MAX_PANICS.to_string()));
    running.stop().await;
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
