//! The dead letters of RabbitMQ and of Apache Kafka: the cases that all engines have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use containers::{RabbitMq, Test};
use embedded::testing::Link;
use messaging::amqp::{AmqpDeadLetters, AmqpQueue};
use messaging::dead_letters::{Act, DeadLetter, DeadLetterStore, Filter, Settled, Sweep};
use messaging::{ConsumeOptions, Destination, Message, Publisher, Queue, Status};

use crate::dead_letters::{self, InTopics, Office, with_all_cases};
use crate::queues::run;
use crate::support::kafka::On;
use crate::support::{Recorder, Running, eventually, permanent, pg, unique};

macro_rules! on_brokers {
    ($name:literal, $office:ty; $($case:ident),* $(,)?) => {
        [$(Test::new(
            concat!("dead_letters::", $name, "::", stringify!($case)),
            dead_letters::$case::<$office>,
        )),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(with_all_cases!(on_brokers! { "rabbitmq", InRabbit; }));
    tests.extend(with_all_cases!(on_brokers! { "kafka", InRealTopics; }));
    tests.push(Test::new(
        "dead_letters::rabbitmq::what_a_visit_cannot_reach_is_told",
        what_a_visit_cannot_reach_is_told,
    ));
    tests.push(Test::new(
        "dead_letters::rabbitmq::to_count_takes_no_connection_of_its_own",
        to_count_takes_no_connection_of_its_own,
    ));
    tests
}

/// Each consumer counts the letters of its queue every few seconds, and a broker works hard for each new connection.
async fn to_count_takes_no_connection_of_its_own() {
    let office = InRabbit::open().await;
    let (link, url) = Link::to_database(&office.url).await;
    let queue = AmqpQueue::new(&url, "test").unwrap();
    queue.declare(&office.name).await.unwrap();
    let counted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&counted);
    let options = ConsumeOptions {
        dead_letters: Status::new(Arc::new(move |_| told.store(true, Ordering::Relaxed))),
        ..pg::options()
    };
    let running = run(Arc::new(queue), &office.name, options, Recorder::new());
    eventually("a count", async || counted.load(Ordering::Relaxed)).await;
    // One that publishes, and one that consumes.
    assert!(link.attempts() <= 2, "{} connections", link.attempts());
    running.stop().await;
}

/// A visit holds what it has passed. What it sends again it holds no more; what is behind the letters that it must hold is
/// out of reach, and that is told.
async fn what_a_visit_cannot_reach_is_told() {
    const HELD: u64 = 5;
    let office = InRabbit::open().await;
    let place = office.place();
    let sick = Recorder::with(|_| async { Err(permanent("sick")) });
    let running = office.consume(sick);
    office.send(0..20).await;
    let letters = AmqpDeadLetters::of(&office.url, "test", [office.name.as_str()]);
    let letters = letters.unwrap().with_held_max(HELD);
    let all_are_there = async || {
        eventually("20 dead letters", async || {
            letters.count(&place).await.unwrap() == 20
        })
        .await;
    };
    all_are_there().await;
    running.stop().await;
    let sweep = |filter| Sweep {
        filter,
        limit: u64::MAX,
        per_second: None,
        time_max: None,
    };
    let mut nothing = |_: &DeadLetter, _: Option<Settled>| {};

    let elsewhere = sweep(Filter {
        id: Some("nobody".to_owned()),
        ..Filter::default()
    });
    let swept = elsewhere.run(&letters, Act::Redrive, &mut nothing).await;
    let swept = swept.unwrap();
    assert_eq!((swept.matched, swept.cut), (0, true));
    // The broker may still be giving back what the first visit held.
    all_are_there().await;

    let all = sweep(Filter::default());
    let swept = all.run(&letters, Act::Redrive, &mut nothing).await.unwrap();
    assert_eq!((swept.settled, swept.more, swept.cut), (20, false, false));
    assert_eq!(letters.count(&place).await.unwrap(), 0);
}

/// In RabbitMQ.
struct InRabbit {
    queue: AmqpQueue,
    url: String,
    name: String,
}

impl Office for InRabbit {
    // To look is to take and to give back.
    const KEEPS_ORDER: bool = false;
    const DOUBLES_AT_KILL: Option<usize> = None;

    async fn open() -> Self {
        let url = RabbitMq::shared().await.url();
        let queue = AmqpQueue::new(&url, "test").unwrap();
        let name = unique("letters");
        queue.declare(&name).await.unwrap();
        Self { queue, url, name }
    }
    fn store(&self) -> Arc<dyn DeadLetterStore> {
        Arc::new(AmqpDeadLetters::of(&self.url, "test", [self.name.as_str()]).unwrap())
    }
    fn place(&self) -> String {
        format!("{}.dead", self.name)
    }
    fn source(&self) -> (String, Option<String>) {
        (self.name.clone(), None)
    }
    async fn publish(&self, message: Message) {
        let to = Destination::Queue(self.name.clone());
        self.queue.publish(&to, message).await.unwrap();
    }
    fn consume(&self, handler: Arc<Recorder>) -> Running {
        run(
            Arc::new(self.queue.clone()),
            &self.name,
            pg::options(),
            handler,
        )
    }
    fn others(&self) -> Option<(Arc<Recorder>, Running)> {
        None
    }
}

/// In topics of Apache Kafka.
struct InRealTopics(InTopics);

impl Office for InRealTopics {
    const DOUBLES_AT_KILL: Option<usize> = InTopics::DOUBLES_AT_KILL;

    async fn open() -> Self {
        Self(InTopics::on(On::Real).await)
    }
    fn store(&self) -> Arc<dyn DeadLetterStore> {
        self.0.store()
    }
    fn place(&self) -> String {
        self.0.place()
    }
    fn source(&self) -> (String, Option<String>) {
        self.0.source()
    }
    async fn publish(&self, message: Message) {
        self.0.publish(message).await;
    }
    fn consume(&self, handler: Arc<Recorder>) -> Running {
        self.0.consume(handler)
    }
    fn others(&self) -> Option<(Arc<Recorder>, Running)> {
        self.0.others()
    }
}
