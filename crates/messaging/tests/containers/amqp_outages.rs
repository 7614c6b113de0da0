//! A broker that goes away and comes back: publisher and consumer come back by themselves, and nothing is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use containers::{RabbitMq, Test};
use messaging::amqp::AmqpQueue;
use messaging::{Destination, Message, PublishError, Publisher, Queue};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::task::JoinHandle;

use crate::amqp::Amqp;
use crate::queues::{Jobs, run_watched};
use crate::support::pg::options;
use crate::support::{Gate, Recorder, Running, Watched, eventually, unique};

/// A broker for the tests that stop it, one at a time.
pub(crate) async fn broker() -> MutexGuard<'static, RabbitMq> {
    static BROKER: OnceCell<Mutex<RabbitMq>> = OnceCell::const_new();
    let broker = BROKER.get_or_init(async || Mutex::new(RabbitMq::own().await));
    broker.await.lock().await
}

/// Numbers on their way from a publisher to a consumer, while something happens to the broker.
struct Stream {
    engine: Amqp,
    jobs: String,
    handler: Arc<Recorder>,
    watched: Watched,
    running: Running,
    more: Arc<AtomicBool>,
    publishing: JoinHandle<usize>,
}

impl Stream {
    async fn start(broker: &RabbitMq, handler: Arc<Recorder>) -> Self {
        let engine = Amqp::at(broker);
        let consumer = engine.elsewhere();
        Self::consumed_by(engine, consumer, handler).await
    }

    async fn consumed_by(engine: Amqp, consumer: Arc<dyn Queue>, handler: Arc<Recorder>) -> Self {
        let jobs = unique("jobs");
        engine.queue.declare(&jobs).await.unwrap();
        let watched = Watched::new();
        let running = run_watched(
            consumer,
            &jobs,
            options(),
            handler.clone(),
            watched.status(),
        );
        watched.up().await;
        let more = Arc::new(AtomicBool::new(true));
        let to = Destination::Queue(jobs.clone());
        let publishing = tokio::spawn(publish_numbers(engine.queue.clone(), to, more.clone()));
        Self {
            engine,
            jobs,
            handler,
            watched,
            running,
            more,
            publishing,
        }
    }

    /// Waits for so many more.
    async fn flows(&self, count: usize) {
        let done = self.handler.done().len();
        self.handler.wait_done(done + count).await;
    }

    /// Waits until each number that was published is done, and stops. Answers with how many messages are left:
    /// a connection that was cut may have left some that are done already.
    async fn end(self) -> i64 {
        self.more.store(false, Ordering::SeqCst);
        let published = self.publishing.await.unwrap();
        self.handler
            .wait("each number", |done| {
                let numbers: HashSet<_> = done.iter().map(|d| &d.message.payload).collect();
                numbers.len() >= published
            })
            .await;
        self.running.stop().await;
        self.engine.count(&self.jobs).await
    }
}

/// Publishes numbers until told to stop, each one again until the broker has it, as an outbox does: with a pause
/// after a failure. Answers with how many there are.
async fn publish_numbers(queue: AmqpQueue, to: Destination, more: Arc<AtomicBool>) -> usize {
    let mut number = 0;
    while more.load(Ordering::SeqCst) {
        while let Err(error) = queue.publish(&to, Message::new(number.to_string())).await {
            assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        number += 1;
        // Calm enough for the consumer to keep up.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    number
}

async fn a_restarted_broker_loses_nothing() {
    let broker = broker().await;
    let stream = Stream::start(&broker, Recorder::new()).await;
    stream.flows(50).await;
    for _ in 0..2 {
        broker.stop().await;
        stream.watched.down().await;
        let before = stream.handler.done().len();
        broker.start().await;
        stream.watched.up().await;
        stream.handler.wait_done(before + 50).await;
    }
    assert_eq!(stream.end().await, 0);
}

async fn cut_connections_lose_no_message() {
    let broker = broker().await;
    // Work that takes a moment, so that the cut finds some of it in hand.
    let handler = Recorder::with(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    });
    let stream = Stream::start(&broker, handler).await;
    for _ in 0..3 {
        stream.flows(20).await;
        broker.cut_connections().await;
    }
    stream.flows(20).await;
    stream.end().await;
}

/// An effect that is under way when the connection goes is finished, and its message comes again.
async fn what_is_in_hand_when_the_connection_is_cut_is_finished_and_comes_again() {
    let broker = broker().await;
    let (engine, jobs) = (Amqp::at(&broker), unique("jobs"));
    engine.queue.declare(&jobs).await.unwrap();
    let gate = Gate::closed();
    let waits = gate.clone();
    let handler = Recorder::with(move |delivery| {
        let waits = waits.clone();
        async move {
            if delivery.attempt == 1 {
                waits.pass().await;
            }
            Ok(())
        }
    });
    let watched = Watched::new();
    let running = run_watched(
        engine.queue(),
        &jobs,
        options(),
        handler.clone(),
        watched.status(),
    );
    watched.up().await;
    engine.send(&jobs, "x").await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    broker.cut_connections().await;
    handler.wait_done(1).await;
    assert_eq!(handler.done()[0].attempt, 2, "the copy that came again");
    gate.open();
    handler.wait_done(2).await;
    assert_eq!(
        handler.done()[1].attempt,
        1,
        "the first is finished all the same"
    );
    running.stop().await;
    assert_eq!(engine.count(&jobs).await, 0);
}

async fn it_starts_before_its_broker_and_stops_without_it() {
    let broker = broker().await;
    broker.stop().await;
    let (engine, jobs) = (Amqp::at(&broker), unique("jobs"));
    let to = Destination::Queue(jobs.clone());
    let answer = engine.queue.publish(&to, Message::new("x")).await;
    assert!(
        matches!(answer, Err(PublishError::Unavailable(_))),
        "{answer:?}"
    );
    assert!(engine.queue.install().await.is_err());
    let start = |watched: &Watched, handler: &Arc<Recorder>| {
        run_watched(
            engine.queue(),
            &jobs,
            options(),
            handler.clone(),
            watched.status(),
        )
    };
    let (watched, handler) = (Watched::new(), Recorder::new());
    let in_vain = start(&watched, &handler);
    watched.down().await;
    in_vain.stop().await;
    let running = start(&watched, &handler);
    broker.start().await;
    watched.up().await;
    // The consumer declared its queue.
    engine.send(&jobs, "x").await;
    handler.wait_done(1).await;
    running.stop().await;
}

async fn an_alarm_of_the_broker_is_backpressure() {
    let broker = broker().await;
    // One that publishes and consumes: the broker tells of alarms only to connections that publish.
    let engine = Amqp::at(&broker);
    let consumer = engine.queue();
    let stream = Stream::consumed_by(engine, consumer, Recorder::new()).await;
    stream.flows(50).await;
    broker.alarm(true).await;
    let to = Destination::Queue(stream.jobs.clone());
    let queue = stream.engine.queue.clone();
    // What was on its way when the alarm came may still be stored.
    let mut reason = String::new();
    eventually("a publisher to be told", async || {
        if let Err(error) = queue.publish(&to, Message::new("0")).await {
            reason = error.to_string();
        }
        reason.contains("blocks publishers")
    })
    .await;
    stream.watched.tells("blocks publishers").await;
    let before = stream.handler.done().len();
    broker.alarm(false).await;
    stream.handler.wait_done(before + 50).await;
    stream.watched.up().await;
    assert_eq!(stream.end().await, 0);
}

macro_rules! tests {
    ($($case:ident),* $(,)?) => {
        vec![$(Test::new(concat!("amqp::", stringify!($case)), $case)),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_restarted_broker_loses_nothing,
        cut_connections_lose_no_message,
        what_is_in_hand_when_the_connection_is_cut_is_finished_and_comes_again,
        it_starts_before_its_broker_and_stops_without_it,
        an_alarm_of_the_broker_is_backpressure,
    ]
}
