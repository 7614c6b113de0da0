//! The relay with a real RabbitMQ behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    dead_code,
    reason = "the modules of tests/it also hold what only their own tests need"
)]

#[path = "../it/broker.rs"]
mod broker;
#[path = "../it/fixture.rs"]
mod fixture;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use containers::{RabbitMq, Test};
use messaging::amqp::AmqpQueue;
use messaging::memory::MemoryBus;
use messaging::{ConsumeOptions, Delivery, Handler, HandlerError, Queue, Router, Status};
use outbox::RelayOptions;
use parking_lot::Mutex;

use crate::fixture::{Service, eventually, queue};

fn main() -> ExitCode {
    containers::run(vec![Test::new(
        "a_restarted_rabbitmq_gets_everything",
        a_restarted_rabbitmq_gets_everything,
    )])
}

/// The ids of what was delivered.
#[derive(Default)]
struct Heard(Mutex<HashSet<String>>);

#[async_trait]
impl Handler for Heard {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let id = delivery.header("ce_id").unwrap().to_owned();
        self.0.lock().insert(id);
        Ok(())
    }
}

/// Events are written all the time, also while the broker is away; each is delivered at least once.
async fn a_restarted_rabbitmq_gets_everything() {
    const KEYS: usize = 5;
    let broker = RabbitMq::own().await;
    let amqp = AmqpQueue::new(&broker.url(), "test").unwrap();
    amqp.declare("jobs").await.unwrap();
    let service = Service::start().await;
    let router = Router::new(Arc::new(MemoryBus::new()), Arc::new(amqp.clone()));
    let relay = service
        .relay(Arc::new(router), RelayOptions::default())
        .await;
    let heard = Arc::new(Heard::default());
    let consumer = tokio::spawn({
        let (queue, handler) = (amqp, heard.clone());
        async move {
            let (options, shutdown) = (ConsumeOptions::default(), Default::default());
            queue
                .consume("jobs", options, handler, Status::ignore(), shutdown)
                .await
        }
    });
    let count = async |times: usize| {
        for n in 0..times {
            service
                .count_to(&[queue()], &format!("key-{}", n % KEYS), async {})
                .await;
        }
    };
    let delivered = || heard.0.lock().len();
    count(50).await;
    eventually("the first arrive", || async { delivered() == 50 }).await;
    broker.stop().await;
    count(50).await;
    relay
        .until_it_says("that it is down", |word| word.is_err())
        .await;
    assert!(service.pending().await > 0, "they wait in the outbox");
    broker.start().await;
    count(50).await;
    service.until_empty().await;
    eventually("all arrive", || async { delivered() == 150 }).await;
    relay.stop().await;
    consumer.abort();
}
