//! What only RabbitMQ does: messages of consumers that died, and permissions.

use std::time::{Duration, Instant};

use containers::{RabbitMq, Test};
use messaging::amqp::{AmqpQueue, HEADERS_MAX_BYTES};
use messaging::{
    ConsumeOptions, Destination, Message, PublishError, Publisher, Queue, Status, dead_letter,
};

use crate::amqp::Amqp;
use crate::queues::{Jobs, run, run_watched};
use crate::support::pg::options;
use crate::support::{Gate, Recorder, Watched, body, eventually, transient, unique};

/// Consumes until the message is in hand, and dies with it.
async fn die_with_a_message(engine: &Amqp, jobs: &str) -> u32 {
    let dying = Recorder::with(|_| async { std::future::pending().await });
    let (queue, name, handler) = (engine.elsewhere(), jobs.to_owned(), dying.clone());
    let consumer = tokio::spawn(async move {
        let shutdown = Default::default();
        queue
            .consume(&name, options(), handler, Status::ignore(), shutdown)
            .await
    });
    eventually("it is in hand", async || !dying.seen().is_empty()).await;
    consumer.abort();
    dying.seen()[0].attempt
}

async fn a_dead_consumers_message_comes_again_at_once() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    engine.send(&jobs, "x").await;
    assert_eq!(die_with_a_message(&engine, &jobs).await, 1);
    let begun = Instant::now();
    let heir = Recorder::new();
    let running = run(engine.queue(), &jobs, options(), heir.clone());
    let got = heir.wait_done(1).await.remove(0);
    assert_eq!(got.attempt, 2);
    assert!(
        begun.elapsed() < options().visibility / 2,
        "it waited for a lease"
    );
    running.stop().await;
    assert_eq!(engine.count(&jobs).await, 0);
}

async fn a_message_that_takes_its_consumers_down_is_parked() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    engine.send(&jobs, "killer").await;
    for death in 1..=3 {
        assert_eq!(die_with_a_message(&engine, &jobs).await, death);
    }
    let limited = ConsumeOptions {
        max_attempts: 3,
        ..options()
    };
    let handler = Recorder::new();
    let running = run(engine.queue(), &jobs, limited, handler.clone());
    let dead = format!("{jobs}.dead");
    eventually("it is parked", async || engine.count(&dead).await == 1).await;
    assert!(handler.seen().is_empty(), "it was handled once more");
    running.stop().await;
}

async fn what_takes_too_long_at_a_stop_is_given_back() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    let handler = Recorder::with(|_| async { std::future::pending().await });
    let impatient = ConsumeOptions {
        drain: Duration::from_millis(50),
        ..options()
    };
    let running = run(engine.queue(), &jobs, impatient, handler.clone());
    engine.send(&jobs, "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    running.stop().await;
    // What the consumer did not give back in time the broker does, once it has seen that the connection is closed.
    eventually("it is back", async || engine.count(&jobs).await == 1).await;
}

/// Deploys: a message whose handlers were cut off by stops has not failed. What a consumer cannot give back within a second the
/// broker does, and counts; on a busy machine not each of some stops is in time.
async fn stops_are_no_attempts() {
    for _ in 0..5 {
        if stays_untried_over_stops().await {
            return;
        }
    }
    panic!("a stop counted each time");
}

/// Whether a message is at its first try after some stops, and the only one.
async fn stays_untried_over_stops() -> bool {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    engine.send(&jobs, "x").await;
    let impatient = || ConsumeOptions {
        drain: Duration::from_millis(50),
        max_attempts: 2,
        ..options()
    };
    for _ in 0..4 {
        let handler = Recorder::with(|_| async { std::future::pending().await });
        let running = run(engine.queue(), &jobs, impatient(), handler.clone());
        eventually("it is in hand", async || !handler.seen().is_empty()).await;
        let attempt = handler.seen()[0].attempt;
        running.stop().await;
        if attempt > 1 {
            return false;
        }
    }
    let handler = Recorder::new();
    let running = run(engine.queue(), &jobs, impatient(), handler.clone());
    let done = handler.wait_done(1).await;
    assert!(done[0].sent_at.is_some(), "it is the message that was sent");
    running.stop().await;
    let left = engine.count(&jobs).await + engine.count(&format!("{jobs}.dead")).await;
    (done[0].attempt, left) == (1, 0)
}

/// More messages than hands: what the broker has pushed and nobody began must not wait for what is in hand.
async fn a_stop_gives_back_what_nobody_began() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    // Work that takes a while: the stop must find some in hand and some that nobody began.
    let slow = || {
        Recorder::with(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        })
    };
    for n in 0..60 {
        engine.send(&jobs, &n.to_string()).await;
    }
    let first = slow();
    let running = run(engine.queue(), &jobs, options(), first.clone());
    first.wait_done(10).await;
    running.stop().await;
    let done = first.done().len();
    assert_eq!(done, first.seen().len(), "what was begun is finished");
    let left = 60 - i64::try_from(done).unwrap();
    eventually("the others are back", async || {
        engine.count(&jobs).await == left
    })
    .await;
}

/// A delay is kept by the broker, so it goes on while there is no consumer, and after.
async fn a_delay_goes_on_without_a_consumer() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    // It fails when the consumer takes no more: the delay may be over before a test comes to stop it.
    let gate = Gate::closed();
    let waits = gate.clone();
    let failing = Recorder::with(move |_| {
        let waits = waits.clone();
        async move {
            waits.pass().await;
            Err(transient("busy"))
        }
    });
    let long = ConsumeOptions {
        backoff: Duration::from_secs(1),
        backoff_cap: Duration::from_secs(1),
        drain: Duration::from_secs(60),
        ..options()
    };
    let running = run(engine.queue(), &jobs, long, failing.clone());
    let message = Message::new("x").with_key("k").with_header("ce_id", "7");
    let to = Destination::Queue(jobs.clone());
    engine.queue.publish(&to, message.clone()).await.unwrap();
    let retry = format!("{jobs}.retry.1000");
    eventually("it is in hand", async || !failing.seen().is_empty()).await;
    running.begin_stop();
    gate.open();
    running.stop().await;
    eventually("it is back", async || engine.count(&jobs).await == 1).await;
    assert_eq!(engine.count(&retry).await, 0);
    let after = Recorder::new();
    let running = run(engine.queue(), &jobs, options(), after.clone());
    let got = after.wait_done(1).await.remove(0);
    assert_eq!((got.attempt, got.message), (2, message), "as it was");
    running.stop().await;
}

async fn headers_that_are_too_large_are_rejected_and_others_go_on() {
    let (engine, jobs) = (Amqp::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    let to = Destination::Queue(jobs.clone());
    let large = Message::new("x").with_header("h", "x".repeat(HEADERS_MAX_BYTES));
    let answer = engine.queue.publish(&to, large).await;
    assert!(
        matches!(answer, Err(PublishError::TooLarge(_))),
        "{answer:?}"
    );
    let largest = Message::new("x").with_header("h", "x".repeat(HEADERS_MAX_BYTES - 1));
    engine.queue.publish(&to, largest).await.unwrap();
    assert_eq!(engine.count(&jobs).await, 1);
}

/// The rights that `docs/adr/0011-cloudevents-on-amqp.md` lists are enough, and a publisher has no others.
async fn the_documented_permissions_are_enough() {
    let broker = RabbitMq::shared().await;
    let exchange = unique("user.created");
    let (jobs, welcome) = (unique("email.jobs"), format!("{exchange}.welcome"));
    let own = format!(
        "^({}|{})(\\..*)?$",
        jobs.replace('.', "\\."),
        exchange.replace('.', "\\.")
    );
    let own_or_default = format!("{own}|^amq\\.default$");
    let worker = broker
        .add_user("notifications", [&own, &own_or_default, &own])
        .await;
    let only = format!("^{}$", exchange.replace('.', "\\."));
    let announcer = broker.add_user("users", [&only, &only, "^$"]).await;
    let worker = AmqpQueue::new(&worker, "notifications").unwrap();
    let announcer = AmqpQueue::new(&announcer, "users").unwrap();

    worker.install().await.unwrap();
    worker.declare(&jobs).await.unwrap();
    worker.declare(&welcome).await.unwrap();
    worker.bind(&exchange, &welcome).await.unwrap();
    announcer.install().await.unwrap();
    let to = Destination::Exchange(exchange.clone());
    announcer.publish(&to, Message::new("ada")).await.unwrap();
    let to = Destination::Queue(jobs.clone());
    worker.publish(&to, Message::new("hopeless")).await.unwrap();
    worker.publish(&to, Message::new("flaky")).await.unwrap();

    let handler = Recorder::with(|delivery| async move {
        match body(&delivery).as_str() {
            "hopeless" => Err(transient("mailbox full")),
            "flaky" if delivery.attempt == 1 => Err(transient("busy")),
            _ => Ok(()),
        }
    });
    let limited = ConsumeOptions {
        max_attempts: 2,
        ..options()
    };
    let queue = std::sync::Arc::new(worker);
    let working = run(queue.clone(), &jobs, limited, handler.clone());
    let welcoming = run(queue.clone(), &welcome, options(), handler.clone());
    handler.wait_done(2).await;
    let reader = Recorder::new();
    let reading = run(queue, &format!("{jobs}.dead"), options(), reader.clone());
    let parked = reader.wait_done(1).await.remove(0);
    assert_eq!(parked.header(dead_letter::REASON), Some("mailbox full"));
    for running in [working, welcoming, reading] {
        running.stop().await;
    }

    // Not the publisher's: neither somebody's queue nor a queue of its own.
    let answer = announcer.publish(&to, Message::new("forged")).await;
    assert!(
        matches!(answer, Err(PublishError::Unavailable(_))),
        "{answer:?}"
    );
    assert!(announcer.declare(&unique("mine")).await.is_err());
    let watched = Watched::new();
    let peeking = run_watched(
        std::sync::Arc::new(announcer),
        &welcome,
        options(),
        Recorder::new(),
        watched.status(),
    );
    watched.tells("ACCESS_REFUSED").await;
    peeking.stop().await;
}

/// A queue that somebody declared without our arguments: nobody may take it for ours, since it loses what comes back often.
async fn a_queue_with_other_arguments_is_named() {
    let engine = <Amqp as Jobs>::start().await;
    let jobs = unique("foreign");
    let connection = lapin::Connection::connect(engine.url(), Default::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = lapin::options::QueueDeclareOptions::durable();
    let classic = channel.queue_declare(jobs.as_str().into(), durable, Default::default());
    classic.await.unwrap();

    let error = engine.queue.declare(&jobs).await.unwrap_err();
    assert!(
        matches!(error, messaging::MessagingError::Config(_)),
        "{error}"
    );
    let said = error.to_string();
    assert!(
        said.contains(&jobs) && said.contains("x-queue-type"),
        "{said}"
    );

    let watched = Watched::new();
    let queue = engine.queue();
    let running = run_watched(queue, &jobs, options(), Recorder::new(), watched.status());
    watched.tells("other properties").await;
    running.stop().await;
}

/// RabbitMQ 4 drops a message of a quorum queue that came back 20 times, unless the queue says otherwise.
async fn the_broker_does_not_count_attempts() {
    const ATTEMPTS: u32 = 30;
    let engine = <Amqp as Jobs>::start().await;
    let jobs = unique("patient");
    engine.queue.declare(&jobs).await.unwrap();
    engine.send(&jobs, "x").await;
    let connection = lapin::Connection::connect(engine.url(), Default::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for _ in 0..ATTEMPTS {
        let got = channel.basic_get(jobs.as_str().into(), Default::default());
        // `basic.nack` counts only before RabbitMQ 4.3.
        let requeue = lapin::options::BasicRejectOptions { requeue: true };
        got.await
            .unwrap()
            .expect("it is there")
            .reject(requeue)
            .await
            .unwrap();
    }
    let many = ConsumeOptions {
        max_attempts: ATTEMPTS + 1,
        ..options()
    };
    let handler = Recorder::new();
    let running = run(engine.queue(), &jobs, many, handler.clone());
    let done = handler.wait_done(1).await;
    assert_eq!(done[0].attempt, ATTEMPTS + 1, "each return is an attempt");
    running.stop().await;
}

macro_rules! tests {
    ($($case:ident),* $(,)?) => {
        vec![$(Test::new(concat!("amqp::", stringify!($case)), $case)),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_dead_consumers_message_comes_again_at_once,
        a_message_that_takes_its_consumers_down_is_parked,
        what_takes_too_long_at_a_stop_is_given_back,
        stops_are_no_attempts,
        a_stop_gives_back_what_nobody_began,
        a_delay_goes_on_without_a_consumer,
        headers_that_are_too_large_are_rejected_and_others_go_on,
        the_documented_permissions_are_enough,
        a_queue_with_other_arguments_is_named,
        the_broker_does_not_count_attempts,
    ]
}
