//! RabbitMQ as an engine of the suites that all engines run.

use std::collections::HashSet;
use std::sync::Arc;

use containers::{RabbitMq, Test};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use messaging::amqp::AmqpQueue;
use messaging::{DEAD_SUFFIX, Destination, Handler, Message, Publisher, Queue, Status};
use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::amqp_outages;
use crate::conformance::engines::on_queue;
use crate::conformance::nature::RABBITMQ;
use crate::conformance::observed::Named;
use crate::conformance::processes::Seat;
use crate::conformance::{self, Engine, Nature, Terms, with_all_cases};
use crate::queues::{self, Jobs, run, run_watched, with_all_queue_cases};
use crate::support::{Running, pg, unique};

/// A broker, and names of its own on it.
pub(crate) struct Amqp {
    pub(crate) queue: AmqpQueue,
    url: String,
    exchange: String,
    /// A broker that may be stopped; nobody else uses it meanwhile.
    own: Option<MutexGuard<'static, RabbitMq>>,
    /// Declaring needs the broker, and a case may have taken it away.
    known: Mutex<HashSet<String>>,
}

impl Amqp {
    pub(crate) fn at(broker: &RabbitMq) -> Self {
        let url = broker.url();
        Self {
            queue: AmqpQueue::new(&url, "test").unwrap(),
            url,
            exchange: unique("facts"),
            own: None,
            known: Mutex::default(),
        }
    }

    fn own(&self) -> &RabbitMq {
        self.own.as_ref().expect("a broker of its own")
    }

    fn name(&self, subscriber: &str) -> String {
        format!("{}.{subscriber}", self.exchange)
    }

    /// Declares a subscriber's queue, unless that was done; answers with its name.
    async fn introduce_once(&self, subscriber: &str) -> String {
        let name = self.name(subscriber);
        if self.known.lock().insert(name.clone()) {
            self.queue.declare(&name).await.unwrap();
            self.queue.bind(&self.exchange, &name).await.unwrap();
        }
        name
    }
}

impl Amqp {
    /// Where the broker is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Jobs for Amqp {
    async fn start() -> Self {
        Self::at(RabbitMq::shared().await)
    }
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(self.queue.clone())
    }
    fn elsewhere(&self) -> Arc<dyn Queue> {
        Arc::new(AmqpQueue::new(&self.url, "elsewhere").unwrap())
    }
    async fn count(&self, queue: &str) -> i64 {
        let connection = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = connection.await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let look = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let found = channel.queue_declare(queue.into(), look, FieldTable::default());
        i64::from(found.await.unwrap().message_count())
    }
}

impl Engine for Amqp {
    const NATURE: Nature = RABBITMQ;

    async fn start() -> Self {
        <Self as Jobs>::start().await
    }
    async fn start_own() -> Self {
        let broker = amqp_outages::broker().await;
        let mut engine = Self::at(&broker);
        engine.own = Some(broker);
        engine
    }
    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.queue.clone())
    }
    fn destination(&self) -> Destination {
        Destination::Exchange(self.exchange.clone())
    }
    async fn publish_foreign(&self, message: Message) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = connection.await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await.unwrap();
        let published = channel.basic_publish(
            self.exchange.as_str().into(),
            "".into(),
            BasicPublishOptions::default(),
            &message.payload,
            BasicProperties::default(),
        );
        published.await.unwrap().await.unwrap();
    }
    async fn subscribe_on(
        &self,
        name: &str,
        handler: Arc<dyn Handler>,
        terms: Terms,
        status: Status,
    ) -> Running {
        let name = self.introduce_once(name).await;
        run_watched(self.queue(), &name, on_queue(&terms), handler, status)
    }
    async fn seat(&self, name: &str) -> Option<Seat> {
        Some(Seat::Amqp {
            url: self.url.clone(),
            queue: self.introduce_once(name).await,
        })
    }
    fn named(&self, name: &str) -> Named {
        let queue = self.name(name);
        Named {
            system: "rabbitmq",
            parked_in: Some(format!("{queue}{DEAD_SUFFIX}")),
            destination: queue,
            group: None,
        }
    }
    async fn read_parked(&self, name: &str, handler: Arc<dyn Handler>) -> Option<Running> {
        let dead = format!("{}{DEAD_SUFFIX}", self.name(name));
        Some(run(self.queue(), &dead, pg::options(), handler))
    }
    async fn take_away(&self) {
        self.own().stop().await;
    }
    async fn bring_back(&self) {
        self.own().start().await;
    }
    async fn kill_and_restart(&mut self) {
        self.own().kill().await;
        self.own().start().await;
    }
}

macro_rules! on_engine {
    ($($group:ident::$case:ident),* $(,)?) => {
        [$(Test::new(
            concat!("amqp::", stringify!($case)),
            conformance::$group::$case::<Amqp>,
        )),*]
    };
}

macro_rules! on_amqp {
    ($module:ident; $($case:ident),* $(,)?) => {
        [$(Test::new(
            concat!("amqp::", stringify!($case)),
            $module::$case::<Amqp>,
        )),*]
    };
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(with_all_cases!(on_engine! {}));
    tests.extend(with_all_queue_cases!(on_amqp! { queues; }));
    tests
}
