//! What every engine promises: one suite, run on each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use messaging::memory::MemoryBus;
use messaging::{Destination, Handler, Message, Publisher, Queue};

use crate::support::kafka::Kafka;
use crate::support::pg::{self, Pg};
use crate::support::{Gate, Recorder, Running, body, eventually, permanent, transient, unique};

/// An engine with one destination that several can subscribe to.
pub(crate) trait Engine {
    async fn start() -> Self;
    fn publisher(&self) -> &dyn Publisher;
    fn destination(&self) -> Destination;
    /// What is published after it returns reaches the handler. The same name after a stop goes on
    /// where it stopped, if the engine is durable.
    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running;
    const DURABLE: bool;

    async fn publish(&self, message: Message) {
        self.publisher()
            .publish(&self.destination(), message)
            .await
            .unwrap();
    }

    async fn publish_bodies(&self, bodies: &[&'static str]) {
        for text in bodies {
            self.publish(Message::new(*text).with_key("k")).await;
        }
    }
}

/// Values of one name keep their order. Of different names only streams keep it: AMQP has a table.
fn by_name(mut message: Message) -> Message {
    message.headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    message
}

pub(crate) async fn a_message_arrives_as_it_was<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::new();
    let running = engine.subscribe("one", handler.clone()).await;
    let sent = Message::new(vec![0, 159, 146, 150, 255])
        .with_key("käy")
        .with_header("ce_id", "1")
        .with_header("twice", "a")
        .with_header("empty", "")
        .with_header("twice", "b");
    engine.publish(sent.clone()).await;
    let got = handler.wait_done(1).await.remove(0);
    assert_eq!(by_name(got.message.clone()), by_name(sent));
    assert_eq!(got.attempt, 1);
    assert_eq!(got.header("twice"), Some("a"));
    running.stop().await;
}

pub(crate) async fn each_subscriber_gets_each_message<E: Engine>() {
    let engine = E::start().await;
    let (one, two) = (Recorder::new(), Recorder::new());
    let first = engine.subscribe("one", one.clone()).await;
    let second = engine.subscribe("two", two.clone()).await;
    engine.publish_bodies(&["a", "b", "c"]).await;
    for handler in [&one, &two] {
        handler.wait_done(3).await;
        let mut bodies = handler.done_bodies();
        bodies.sort();
        assert_eq!(bodies, ["a", "b", "c"]);
    }
    first.stop().await;
    second.stop().await;
}

pub(crate) async fn a_transient_failure_is_tried_again<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "flaky" && delivery.attempt < 4 {
            Err(transient("not yet"))
        } else {
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "flaky", "after"]).await;
    handler.wait_done(3).await;
    let attempts: Vec<_> = handler
        .seen()
        .iter()
        .filter(|d| body(d) == "flaky")
        .map(|d| d.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    running.stop().await;
}

pub(crate) async fn a_permanent_failure_is_not_tried_again_and_its_neighbours_go_on<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "poison" {
            Err(permanent("unreadable"))
        } else {
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "poison", "after"]).await;
    handler.wait_done(2).await;
    eventually("the poison was seen", async || {
        handler.seen().iter().any(|d| body(d) == "poison")
    })
    .await;
    engine.publish_bodies(&["later"]).await;
    handler.wait_done(3).await;
    assert_eq!(
        handler
            .seen()
            .iter()
            .filter(|d| body(d) == "poison")
            .count(),
        1
    );
    running.stop().await;
}

pub(crate) async fn a_panic_does_not_end_the_consumer_and_its_neighbours_go_on<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        assert!(body(&delivery) != "bug", "a bug in the handler");
        Ok(())
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "bug", "after"]).await;
    handler.wait_done(2).await;
    let panics = || handler.seen().iter().filter(|d| body(d) == "bug").count();
    eventually("the bug was given up", async || {
        panics() == messaging::MAX_PANICS as usize
    })
    .await;
    engine.publish_bodies(&["later"]).await;
    handler.wait_done(3).await;
    assert_eq!(panics(), messaging::MAX_PANICS as usize);
    assert!(!running.ended());
    running.stop().await;
}

pub(crate) async fn a_stop_finishes_the_message_in_hand<E: Engine>() {
    let engine = E::start().await;
    let gate = Gate::closed();
    let finished = Arc::new(AtomicBool::new(false));
    let (waits, done) = (gate.clone(), Arc::clone(&finished));
    let handler = Recorder::with(move |_| {
        let (waits, done) = (waits.clone(), Arc::clone(&done));
        async move {
            waits.pass().await;
            done.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["slow"]).await;
    eventually("the message is in hand", async || {
        !handler.seen().is_empty()
    })
    .await;
    running.begin_stop();
    // Time for a consumer that would not wait to get it wrong.
    for _ in 0..50 {
        tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        assert!(!running.ended(), "it ended with a message in hand");
    }
    gate.open();
    running.stop().await;
    assert!(finished.load(Ordering::SeqCst));

    if E::DURABLE {
        let after = Recorder::new();
        let running = engine.subscribe("one", after.clone()).await;
        engine.publish_bodies(&["next"]).await;
        after.wait_done(1).await;
        assert_eq!(
            after.done_bodies(),
            ["next"],
            "what was done comes not again"
        );
        running.stop().await;
    }
}

pub(crate) async fn what_was_not_done_at_a_stop_comes_again<E: Engine>() {
    if !E::DURABLE {
        return;
    }
    let engine = E::start().await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let failing = Recorder::with(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(transient("the database is away")) }
    });
    let running = engine.subscribe("one", failing.clone()).await;
    engine.publish_bodies(&["kept"]).await;
    eventually("it failed", async || calls.load(Ordering::SeqCst) >= 2).await;
    running.stop().await;

    let handler = Recorder::new();
    let running = engine.subscribe("one", handler.clone()).await;
    handler.wait_done(1).await;
    assert_eq!(handler.done_bodies(), ["kept"]);
    running.stop().await;
}

pub(crate) async fn a_destination_of_another_kind_is_rejected<E: Engine>() {
    let engine = E::start().await;
    let wrong = match engine.destination() {
        Destination::Topic(_) => Destination::Queue("q".into()),
        _ => Destination::Topic("t".into()),
    };
    let answer = engine.publisher().publish(&wrong, Message::new("x")).await;
    if E::DURABLE {
        assert!(
            matches!(answer, Err(messaging::PublishError::Rejected(_))),
            "{answer:?}"
        );
    }
}

pub(crate) struct OnKafka {
    kafka: Kafka,
    topic: String,
}

impl Engine for OnKafka {
    const DURABLE: bool = true;

    async fn start() -> Self {
        let topic = unique("conformance");
        Self {
            kafka: Kafka::start(&[(&topic, 3)]),
            topic,
        }
    }
    fn publisher(&self) -> &dyn Publisher {
        &self.kafka.publisher
    }
    fn destination(&self) -> Destination {
        Destination::Topic(self.topic.clone())
    }
    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running {
        self.kafka.consume(name, &self.topic, handler)
    }
}

struct OnPostgres(Pg);

impl Engine for OnPostgres {
    const DURABLE: bool = true;

    async fn start() -> Self {
        Self(Pg::start().await)
    }
    fn publisher(&self) -> &dyn Publisher {
        &self.0.queue
    }
    fn destination(&self) -> Destination {
        Destination::Exchange("facts".into())
    }
    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running {
        self.0.queue.declare(name).await.unwrap();
        self.0.queue.bind("facts", name).await.unwrap();
        pg::consume(&self.0.queue, name, pg::options(), handler)
    }
}

struct InMemory {
    bus: MemoryBus,
    to: Destination,
}

impl Engine for InMemory {
    const DURABLE: bool = false;

    async fn start() -> Self {
        Self {
            bus: MemoryBus::new(),
            to: Destination::Topic("t".into()),
        }
    }
    fn publisher(&self) -> &dyn Publisher {
        &self.bus
    }
    fn destination(&self) -> Destination {
        self.to.clone()
    }
    async fn subscribe(&self, _name: &str, handler: Arc<dyn Handler>) -> Running {
        Running::spawn(|shutdown| {
            let subscription = self.bus.subscribe(&self.to, handler, shutdown);
            async move {
                subscription.await;
                Ok(())
            }
        })
    }
}

/// Hands the names of all cases to a macro.
macro_rules! with_all_cases {
    ($use:ident! { $($arguments:tt)* }) => {
        $use! { $($arguments)*
            a_message_arrives_as_it_was,
            each_subscriber_gets_each_message,
            a_transient_failure_is_tried_again,
            a_permanent_failure_is_not_tried_again_and_its_neighbours_go_on,
            a_panic_does_not_end_the_consumer_and_its_neighbours_go_on,
            a_stop_finishes_the_message_in_hand,
            what_was_not_done_at_a_stop_comes_again,
            a_destination_of_another_kind_is_rejected,
        }
    };
}
#[allow(unused_imports, reason = "the containers target uses it from outside")]
pub(crate) use with_all_cases;

macro_rules! conformance {
    ($module:ident, $engine:ty; $($case:ident),* $(,)?) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case::<$engine>().await;
            })*
        }
    };
}

with_all_cases!(conformance! { kafka, super::OnKafka; });
with_all_cases!(conformance! { postgres, super::OnPostgres; });
with_all_cases!(conformance! { memory, super::InMemory; });
