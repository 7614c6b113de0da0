//! What both queues promise, whichever engine holds them: competition, delay, dead letters, fanout.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use messaging::{
    ConsumeOptions, Destination, Handler, MAX_PANICS, Message, MessagingError, PAYLOAD_MAX_BYTES,
    PublishError, Queue, Status, dead_letter,
};

use crate::support::pg::{Pg, options};
use crate::support::{
    Recorder, Running, body, eventually, eventually_within, permanent, transient, unique,
};

/// For all jobs of a case with many: unoptimised, a queue does some hundreds in a second.
const ALL_DONE: Duration = Duration::from_secs(120);

/// A queue's engine.
pub(crate) trait Jobs {
    async fn start() -> Self;
    fn queue(&self) -> Arc<dyn Queue>;
    /// As another process sees it.
    fn elsewhere(&self) -> Arc<dyn Queue>;
    /// Messages that wait in a queue.
    async fn count(&self, queue: &str) -> i64;

    async fn send(&self, queue: &str, text: &str) {
        let to = Destination::Queue(queue.into());
        let message = Message::new(text.to_owned());
        self.queue().publish(&to, message).await.unwrap();
    }
}

impl Jobs for Pg {
    async fn start() -> Self {
        Self::start().await
    }
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(self.queue.clone())
    }
    fn elsewhere(&self) -> Arc<dyn Queue> {
        Arc::new(self.elsewhere())
    }
    async fn count(&self, queue: &str) -> i64 {
        self.count(queue).await
    }
}

/// A consumer in the background.
pub(crate) fn run(
    queue: Arc<dyn Queue>,
    name: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
) -> Running {
    run_watched(queue, name, options, handler, Status::ignore())
}

/// A consumer whose status is looked at.
pub(crate) fn run_watched(
    queue: Arc<dyn Queue>,
    name: &str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
) -> Running {
    let name = name.to_owned();
    Running::spawn(move |shutdown| async move {
        queue
            .consume(&name, options, handler, status, shutdown)
            .await
    })
}

pub(crate) async fn competing_consumers_do_each_job_once<J: Jobs>() {
    const JOBS: usize = 600;
    const AT_ONCE: usize = 20;
    let (engine, jobs) = (J::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    let handlers: Vec<_> = (0..4)
        .map(|_| {
            Recorder::with(|_| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            })
        })
        .collect();
    let consumers = handlers.iter().enumerate().map(|(n, handler)| {
        // Half of them in another process.
        let queue = if n % 2 == 0 {
            engine.queue()
        } else {
            engine.elsewhere()
        };
        run(queue, &jobs, options(), handler.clone())
    });
    let running: Vec<_> = consumers.collect();
    // More than that while one has had none: it may still be connecting when the others have done all that there was.
    let mut sent = 0;
    eventually_within(ALL_DONE, "each consumer gets some", async || {
        let sends = (sent..sent + AT_ONCE).map(async |n| engine.send(&jobs, &n.to_string()).await);
        join_all(sends).await;
        sent += AT_ONCE;
        sent >= JOBS && handlers.iter().all(|handler| !handler.done().is_empty())
    })
    .await;
    let done = || handlers.iter().map(|handler| handler.done().len()).sum();
    eventually_within(ALL_DONE, "all are done", async || {
        let n: usize = done();
        n >= sent
    })
    .await;
    for consumer in running {
        consumer.stop().await;
    }
    assert_eq!(engine.count(&jobs).await, 0);
    let mut times: HashMap<String, usize> = HashMap::new();
    for handler in &handlers {
        let seen = handler.seen();
        seen.iter()
            .for_each(|d| *times.entry(body(d)).or_default() += 1);
    }
    assert_eq!(times.len(), sent);
    assert!(times.values().all(|n| *n == 1), "{times:?}");
}

pub(crate) async fn a_failed_message_is_delayed_and_others_pass_it<J: Jobs>() {
    let (engine, jobs) = (J::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    // Until the other has passed, however late that is sent.
    let passed = Arc::new(AtomicBool::new(false));
    let handler = Recorder::with(move |delivery| {
        let passed = Arc::clone(&passed);
        async move {
            match body(&delivery).as_str() {
                "flaky" if !passed.load(Ordering::SeqCst) => Err(transient("busy")),
                "flaky" => Ok(()),
                _ => {
                    passed.store(true, Ordering::SeqCst);
                    Ok(())
                }
            }
        }
    });
    let delayed = ConsumeOptions {
        concurrency: 1,
        backoff: Duration::from_millis(800),
        backoff_cap: Duration::from_secs(5),
        ..options()
    };
    let running = run(engine.queue(), &jobs, delayed, handler.clone());
    let begun = Instant::now();
    engine.send(&jobs, "flaky").await;
    eventually("it failed", async || !handler.seen().is_empty()).await;
    engine.send(&jobs, "other").await;
    handler.wait_done(2).await;
    assert_eq!(handler.done_bodies(), ["other", "flaky"]);
    assert!(
        begun.elapsed() >= Duration::from_millis(400),
        "at least half of the delay: {:?}",
        begun.elapsed()
    );
    running.stop().await;
}

pub(crate) async fn a_message_that_keeps_failing_is_parked_with_its_reason<J: Jobs>() {
    let (engine, jobs) = (J::start().await, unique("jobs"));
    engine.queue().declare(&jobs).await.unwrap();
    let handler = Recorder::with(|delivery| async move {
        match body(&delivery).as_str() {
            "hopeless" => Err(transient("mailbox full")),
            // A reason quotes what others sent: PostgreSQL has no zero byte in a text.
            "poison" => Err(permanent("no address \0")),
            "bug" => panic!("index out of bounds"),
            _ => Ok(()),
        }
    });
    let dead = format!("{jobs}.dead");
    let limited = ConsumeOptions {
        max_attempts: 7,
        ..options()
    };
    let running = run(engine.queue(), &jobs, limited, handler.clone());
    for text in ["hopeless", "poison", "bug", "fine"] {
        let message = Message::new(text).with_key("k").with_header("ce_id", text);
        engine
            .queue()
            .publish(&Destination::Queue(jobs.clone()), message)
            .await
            .unwrap();
    }
    eventually("three are parked", async || engine.count(&dead).await == 3).await;
    // It was sent last: the others may be parked before it is handled.
    handler.wait_done(1).await;
    assert_eq!(handler.done_bodies(), ["fine"]);
    eventually("nothing is left", async || engine.count(&jobs).await == 0).await;
    running.stop().await;

    let reader = Recorder::new();
    let running = run(engine.queue(), &dead, options(), reader.clone());
    let parked = reader.wait_done(3).await;
    let story = |text: &str| {
        let found = parked.iter().find(|d| body(d) == text).unwrap();
        assert_eq!(found.message.key.as_deref(), Some("k"));
        assert_eq!(found.header("ce_id"), Some(text));
        assert_eq!(found.header(dead_letter::QUEUE), Some(jobs.as_str()));
        assert!(found.header(dead_letter::TIME).is_some());
        let header = |name| found.header(name).unwrap().to_owned();
        (header(dead_letter::REASON), header(dead_letter::ATTEMPTS))
    };
    assert_eq!(story("hopeless"), ("mailbox full".into(), "7".into()));
    assert_eq!(story("poison"), ("no address \u{fffd}".into(), "1".into()));
    let panicked = "the handler panicked: index out of bounds".to_owned();
    assert_eq!(story("bug"), (panicked, MAX_PANICS.to_string()));
    running.stop().await;
}

pub(crate) async fn what_no_queue_takes_is_an_error_and_not_lost<J: Jobs>() {
    let engine = J::start().await;
    let queue = engine.queue();
    let typo = Destination::Queue(unique("jbos"));
    let answer = queue.publish(&typo, Message::new("x")).await;
    assert!(
        matches!(answer, Err(PublishError::Rejected(_))),
        "{answer:?}"
    );

    // A subscriber that has never been there: the publisher keeps the message and tries again.
    let (name, subscriber) = (unique("user.created"), unique("mail"));
    let exchange = Destination::Exchange(name.clone());
    let answer = queue.publish(&exchange, Message::new("early")).await;
    assert!(
        matches!(answer, Err(PublishError::Unavailable(_))),
        "{answer:?}"
    );
    queue.declare(&subscriber).await.unwrap();
    queue.bind(&name, &subscriber).await.unwrap();
    queue
        .publish(&exchange, Message::new("again"))
        .await
        .unwrap();
    let handler = Recorder::new();
    let running = run(queue, &subscriber, options(), handler.clone());
    handler.wait_done(1).await;
    assert_eq!(handler.done_bodies(), ["again"]);
    running.stop().await;
}

pub(crate) async fn an_exchange_copies_to_the_queues_that_are_bound<J: Jobs>() {
    let engine = J::start().await;
    let (name, queue) = (unique("user.created"), engine.queue());
    let (mail, stats, unbound) = (unique("mail"), unique("stats"), unique("unbound"));
    for subscriber in [&mail, &stats, &unbound] {
        queue.declare(subscriber).await.unwrap();
        // Again is no change.
        queue.declare(subscriber).await.unwrap();
    }
    for subscriber in [&mail, &stats] {
        queue.bind(&name, subscriber).await.unwrap();
        queue.bind(&name, subscriber).await.unwrap();
    }
    let message = Message::new("hello").with_key("u1");
    queue
        .publish(&Destination::Exchange(name), message)
        .await
        .unwrap();
    for (subscriber, copies) in [(&mail, 1), (&stats, 1), (&unbound, 0)] {
        let handler = Recorder::new();
        let running = run(engine.queue(), subscriber, options(), handler.clone());
        let got = handler.wait_done(copies).await;
        assert!(
            got.iter()
                .all(|d| d.message.key.as_deref() == Some("u1") && body(d) == "hello")
        );
        running.stop().await;
        assert_eq!(handler.done().len(), copies, "{subscriber}");
    }
}

pub(crate) async fn what_can_never_be_queued_is_rejected<J: Jobs>() {
    let engine = J::start().await;
    let (queue, jobs) = (engine.queue(), unique("jobs"));
    queue.declare(&jobs).await.unwrap();
    let to_jobs = || Destination::Queue(jobs.clone());
    for (to, message) in [
        (
            Destination::Queue("no such name".into()),
            Message::new("a space"),
        ),
        (Destination::Topic(jobs.clone()), Message::new("a topic")),
    ] {
        let answer = queue.publish(&to, message).await;
        assert!(
            matches!(answer, Err(PublishError::Rejected(_))),
            "{to}: {answer:?}"
        );
    }
    let large = Message::new(vec![0; PAYLOAD_MAX_BYTES + 1]);
    let answer = queue.publish(&to_jobs(), large).await;
    assert!(
        matches!(answer, Err(PublishError::TooLarge(_))),
        "{answer:?}"
    );
    queue
        .publish(&to_jobs(), Message::new(vec![0; PAYLOAD_MAX_BYTES]))
        .await
        .unwrap();
    let error = queue
        .bind("user.created", &unique("undeclared"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, MessagingError::Name(text) if text.contains("undeclared")),
        "{error}"
    );
    assert!(matches!(
        queue.declare("").await,
        Err(MessagingError::Name(_))
    ));
}

/// Hands the names of all cases to a macro.
macro_rules! with_all_queue_cases {
    ($use:ident! { $($arguments:tt)* }) => {
        $use! { $($arguments)*
            competing_consumers_do_each_job_once,
            a_failed_message_is_delayed_and_others_pass_it,
            a_message_that_keeps_failing_is_parked_with_its_reason,
            what_no_queue_takes_is_an_error_and_not_lost,
            an_exchange_copies_to_the_queues_that_are_bound,
            what_can_never_be_queued_is_rejected,
        }
    };
}
#[allow(unused_imports, reason = "the containers target uses it from outside")]
pub(crate) use with_all_queue_cases;

macro_rules! on_postgres {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case::<super::Pg>().await;
            })*
        }
    };
}

with_all_queue_cases!(on_postgres! {});
