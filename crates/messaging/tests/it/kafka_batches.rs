//! A consumer that is behind takes several messages at once, and nothing else changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use messaging::kafka::dead_letter_topic;
use messaging::{Delivery, Handler, HandlerError, Message, Status, dead_letter};
use parking_lot::Mutex;

use crate::support::kafka::{Kafka, numbers, options};
use crate::support::{Recorder, body, eventually, permanent, unique};

const BATCH_MAX: usize = 3;
/// Slower than messages are fetched, so that they pile up.
const WORK: Duration = Duration::from_millis(2);

/// Passes single messages and batches on to a recorder, a batch all or nothing; fails or panics over the
/// word in a body.
struct Batcher {
    sizes: Mutex<Vec<usize>>,
    /// The bodies of batches that failed, and of messages that say that they were in one.
    failed: Mutex<Vec<String>>,
    suspected: Mutex<Vec<String>>,
    done: Arc<Recorder>,
}

impl Batcher {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            sizes: Mutex::default(),
            failed: Mutex::default(),
            suspected: Mutex::default(),
            done: Recorder::with(|delivery| async move { judge(&delivery) }),
        })
    }

    fn sizes(&self) -> Vec<usize> {
        self.sizes.lock().clone()
    }
}

fn judge(delivery: &Delivery) -> Result<(), HandlerError> {
    match body(delivery).as_str() {
        "poison" => Err(permanent("unreadable")),
        "bug" => panic!("the answer was 43"),
        _ => Ok(()),
    }
}

#[async_trait]
impl Handler for Batcher {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        tokio::time::sleep(WORK).await;
        if delivery.failed_in_batch {
            self.suspected.lock().push(body(delivery));
        }
        self.done.handle(delivery).await
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        tokio::time::sleep(WORK).await;
        let before = self.failed.lock().len();
        self.failed.lock().extend(batch.iter().map(body));
        batch.iter().try_for_each(judge)?;
        self.failed.lock().truncate(before);
        self.sizes.lock().push(batch.len());
        for delivery in batch {
            self.done.handle(delivery).await?;
        }
        Ok(())
    }
}

/// Publishes the bodies before there is a consumer.
async fn pile_up(kafka: &Kafka, topic: &str, bodies: &[&str]) {
    for body in bodies {
        kafka.publish(topic, "k", body).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_piled_up_comes_together_in_order_and_never_more_than_wanted() {
    let topic = unique("batches");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let handler = Batcher::new();
    let numbers = numbers(100);
    let bodies: Vec<_> = numbers.iter().map(String::as_str).collect();
    pile_up(&kafka, &topic, &bodies).await;
    let running = kafka.consume("g", &topic, handler.clone());
    handler.done.wait_done(100).await;
    assert_eq!(handler.done.done_bodies(), numbers);
    let sizes = handler.sizes();
    assert!(!sizes.is_empty(), "some came together");
    assert!(
        sizes.iter().all(|size| *size <= BATCH_MAX),
        "{sizes:?}, {BATCH_MAX} wanted"
    );
    running.stop().await;

    // The offset of the last of a batch stands for all of it.
    kafka.publish(&topic, "k", "next").await;
    let again = Batcher::new();
    let running = kafka.consume("g", &topic, again.clone());
    again.done.wait_done(1).await;
    assert_eq!(again.done.done_bodies(), ["next"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_fails_is_tried_one_by_one_and_only_the_bad_message_is_parked() {
    for (bad, reason) in [
        ("poison", "unreadable"),
        ("bug", "the handler panicked: the answer was 43"),
    ] {
        let topic = unique("bad-batch");
        let kafka = Kafka::start(&[(&topic, 1)]);
        let handler = Batcher::new();
        pile_up(&kafka, &topic, &["0", "1", bad, "2", "3"]).await;
        let running = kafka.consume("g", &topic, handler.clone());
        handler.done.wait_done(4).await;
        assert_eq!(handler.done.done_bodies(), ["0", "1", "2", "3"]);
        let mut suspected = handler.suspected.lock().clone();
        // What panics is tried three times.
        suspected.dedup();
        assert_eq!(suspected, *handler.failed.lock());

        let reader = Recorder::new();
        let graveyard = dead_letter_topic(&topic, "g");
        let reading = kafka.consume("reader", &graveyard, reader.clone());
        let parked: Vec<Message> = reader
            .wait_done(1)
            .await
            .into_iter()
            .map(|delivery| delivery.message)
            .collect();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].header(dead_letter::REASON), Some(reason));
        reading.stop().await;
        running.stop().await;
    }
}

/// Handles no batch, and never finishes the second message of the first one.
#[derive(Default)]
struct StuckInBatch {
    stuck_at: Mutex<Option<String>>,
    is_stuck: AtomicBool,
}

#[async_trait]
impl Handler for StuckInBatch {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        tokio::time::sleep(WORK).await;
        if *self.stuck_at.lock() == Some(body(delivery)) {
            self.is_stuck.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        *self.stuck_at.lock() = batch.get(1).map(body);
        Err(permanent("not together"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_that_failed_only_what_was_done_by_itself_is_passed() {
    let topic = unique("half-a-batch");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let numbers = numbers(20);
    join_all(numbers.iter().map(|n| kafka.publish(&topic, "k", n))).await;
    let handler = Arc::new(StuckInBatch::default());
    let mut short = options("g", &topic);
    short.drain = Duration::from_millis(50);
    let running = kafka.consume_with(short, handler.clone(), Status::ignore());
    eventually("one of a batch is stuck", async || {
        handler.is_stuck.load(Ordering::Relaxed)
    })
    .await;
    running.stop().await;

    let stuck_at = handler.stuck_at.lock().clone().unwrap();
    let left = numbers.iter().skip_while(|n| **n != stuck_at);
    let left: Vec<_> = left.cloned().collect();
    let after = Recorder::new();
    let running = kafka.consume("g", &topic, after.clone());
    after.wait_done(left.len()).await;
    assert_eq!(after.done_bodies(), left);
    running.stop().await;
}
