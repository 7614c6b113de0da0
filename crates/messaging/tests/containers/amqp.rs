//! RabbitMQ as an engine of the suites that all engines run.

use std::sync::Arc;

use containers::{RabbitMq, Test};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use messaging::amqp::AmqpQueue;
use messaging::{Destination, Handler, Publisher, Queue};

use crate::conformance::{self, Engine, with_all_cases};
use crate::queues::{self, Jobs, run, with_all_queue_cases};
use crate::support::{Running, pg, unique};

/// The broker of all tests, and names of its own.
pub(crate) struct Amqp {
    pub(crate) queue: AmqpQueue,
    url: String,
    exchange: String,
}

impl Amqp {
    pub(crate) fn at(broker: &RabbitMq) -> Self {
        let url = broker.url();
        Self {
            queue: AmqpQueue::new(&url, "test").unwrap(),
            url,
            exchange: unique("facts"),
        }
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
    const DURABLE: bool = true;

    async fn start() -> Self {
        <Self as Jobs>::start().await
    }
    fn publisher(&self) -> &dyn Publisher {
        &self.queue
    }
    fn destination(&self) -> Destination {
        Destination::Exchange(self.exchange.clone())
    }
    async fn subscribe(&self, name: &str, handler: Arc<dyn Handler>) -> Running {
        let name = format!("{}.{name}", self.exchange);
        self.queue.declare(&name).await.unwrap();
        self.queue.bind(&self.exchange, &name).await.unwrap();
        run(self.queue(), &name, pg::options(), handler)
    }
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
    tests.extend(with_all_cases!(on_amqp! { conformance; }));
    tests.extend(with_all_queue_cases!(on_amqp! { queues; }));
    tests
}
