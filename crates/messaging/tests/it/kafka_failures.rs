//! Handlers that fail: tried again in place, or parked with the reason; never skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messaging::dead_letters::{Act, DeadLetter, DeadLetterStore, Filter, SETTLES, Settled, Sweep};
use messaging::kafka::{
    KafkaConfig, KafkaDeadLetters, ParkIn, consume, dead_letter_topic, group_queue, retry_topic,
};
use messaging::pg_queue::{PgDeadLetters, PgQueue};
use messaging::{
    Delivery, Handler, HandlerError, MAX_PANICS, Message, MessagingError, Queue, Status,
    dead_letter,
};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

use crate::support::kafka::{Kafka, On, by_key, numbers, on_mock, options};
use crate::support::pg::Pg;
use crate::support::{PATIENCE, Recorder, Watched, body, eventually, permanent, transient, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_handler_neither_loses_nor_skips_and_other_partitions_go_on() {
    let topic = unique("failing");
    let kafka = Kafka::start(&[(&topic, 12)]);
    let healed = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&healed);
    let handler = Recorder::with(move |delivery| {
        let state = Arc::clone(&state);
        async move {
            let sick = delivery.message.key.as_deref() == Some("sick");
            if sick && !state.load(Ordering::SeqCst) {
                Err(transient("database away"))
            } else {
                Ok(())
            }
        }
    });
    let running = kafka.consume("g", &topic, handler.clone());
    let sick = kafka.publish(&topic, "sick", "0").await.partition;
    let mut others = 0;
    for n in 1..20 {
        kafka.publish(&topic, "sick", &n.to_string()).await;
        let partition = kafka
            .publish(&topic, &format!("well-{n}"), "x")
            .await
            .partition;
        others += usize::from(partition != sick);
    }
    handler.wait_done(others).await;
    eventually("many tries", async || {
        handler.seen().iter().any(|d| d.attempt > 10)
    })
    .await;
    assert_eq!(
        handler.done().len(),
        others,
        "nothing of the sick partition is passed"
    );
    healed.store(true, Ordering::SeqCst);
    let done = handler.wait_done(39).await;
    assert_eq!(by_key(&done)["sick"], numbers(20));
    running.stop().await;
}

/// What takes letters from a queue goes on for as long as it may, and must not keep the error of the consumer to itself.
#[tokio::test]
async fn a_consumer_that_cannot_be_configured_says_so_at_once() {
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(100))
        .connect_lazy("postgres://127.0.0.1:1/away")
        .unwrap();
    let config = KafkaConfig::new("127.0.0.1:1", "test").with_setting("no.such.setting", "1");
    let mut parking = options("billing", "facts");
    parking.park_in = ParkIn::Queue(Arc::new(PgQueue::new(pool)));
    let stop = CancellationToken::new();
    let consumed = consume(&config, parking, Recorder::new(), Status::ignore(), stop);
    let ended = tokio::time::timeout(PATIENCE, consumed).await;
    let ended = ended.expect("an end");
    assert!(matches!(ended, Err(MessagingError::Config(_))), "{ended:?}");
}

/// Letters without a key: Kafka would put their settlements anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_is_behind_its_letter() {
    const LETTERS: usize = 12;
    let topic = unique("keyless");
    let graveyard = dead_letter_topic(&topic, "billing");
    let kafka = Kafka::start(&[(&graveyard, 4)]);
    for n in 0..LETTERS {
        let letter = Message::new(n.to_string());
        kafka.publisher.send(&graveyard, &letter).await.unwrap();
    }
    let store = KafkaDeadLetters::of(&kafka.config, "billing", [topic.as_str()]).unwrap();
    let all = Sweep {
        filter: Filter::default(),
        limit: u64::MAX,
        per_second: None,
        time_max: None,
    };
    let mut nothing_kept = |_: &DeadLetter| Ok::<(), MessagingError>(());
    let act = Act::Drop(&mut nothing_kept);
    all.run(&store, act, &mut |_, _| {}).await.unwrap();
    assert_eq!(store.count(&graveyard).await.unwrap(), 0);

    let reader = Recorder::new();
    let reading = kafka.consume("reader", &graveyard, reader.clone());
    for record in reader.wait_done(2 * LETTERS).await {
        let Some(settles) = record.header(SETTLES) else {
            continue;
        };
        let partition = record.position.unwrap().partition.to_string();
        assert_eq!(settles.split('/').next(), Some(partition.as_str()));
    }
    reading.stop().await;
}

/// Panics outside of a message, once: no try catches it.
struct PanicsOnce {
    has_panicked: AtomicBool,
    handler: Arc<Recorder>,
}

#[async_trait]
impl Handler for PanicsOnce {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handler.handle(delivery).await
    }

    fn batch_max(&self) -> usize {
        assert!(self.has_panicked.swap(true, Ordering::SeqCst), "a bug");
        1
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_worker_panicked_is_read_again() {
    let topic = unique("panicking");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let handler = Recorder::new();
    let panics = Arc::new(PanicsOnce {
        has_panicked: AtomicBool::new(false),
        handler: handler.clone(),
    });
    let running = kafka.consume("g", &topic, panics);
    kafka.publish(&topic, "k", "0").await;
    handler.wait_done(1).await;
    running.stop().await;
}

pub(crate) async fn a_permanent_failure_is_parked_with_its_reason_and_its_neighbours_go_on(on: On) {
    let topic = unique("poison");
    let graveyard = dead_letter_topic(&topic, "billing");
    assert_eq!(graveyard, format!("{topic}.billing.dlq"));
    let kafka = Kafka::on(on, &[(&topic, 1), (&graveyard, 1)]).await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "poison" {
            Err(permanent("the amount is negative"))
        } else {
            Ok(())
        }
    });
    let running = kafka.consume("billing", &topic, handler.clone());
    kafka.publish(&topic, "k", "0").await;
    let poison = Message::new("poison")
        .with_key("k")
        .with_header("ce_id", "7");
    let sent = kafka.publisher.send(&topic, &poison).await.unwrap();
    kafka.publish(&topic, "k", "1").await;
    handler.wait_done(2).await;
    assert_eq!(handler.done_bodies(), ["0", "1"]);

    let reader = Recorder::new();
    let reading = kafka.consume("reader", &graveyard, reader.clone());
    let parked = reader.wait_done(1).await.remove(0);
    assert_eq!(body(&parked), "poison");
    assert_eq!(parked.message.key.as_deref(), Some("k"));
    assert_eq!(parked.header("ce_id"), Some("7"));
    assert_eq!(
        parked.header(dead_letter::REASON),
        Some("the amount is negative")
    );
    assert_eq!(parked.header(dead_letter::ATTEMPTS), Some("1"));
    assert_eq!(parked.header(dead_letter::TOPIC), Some(topic.as_str()));
    assert_eq!(parked.header(dead_letter::PARTITION), Some("0"));
    assert_eq!(
        parked.header(dead_letter::OFFSET),
        Some(sent.offset.to_string().as_str())
    );
    assert!(parked.header(dead_letter::TIME).is_some());
    reading.stop().await;
    running.stop().await;
}

/// Parks a message of 5 MB, and sees that its letter says where it is and that a redrive leaves it.
async fn parked_without_its_body(
    kafka: &Kafka,
    topic: &str,
    park_in: ParkIn,
    store: &dyn DeadLetterStore,
) {
    const BYTES: usize = 5 * 1024 * 1024;
    let handler = Recorder::with(|delivery| async move {
        if delivery.message.payload.len() == BYTES {
            Err(permanent("unreadable"))
        } else {
            Ok(())
        }
    });
    let mut parking = options("billing", topic);
    parking.park_in = park_in;
    let running = kafka.consume_with(parking, handler.clone(), Status::ignore());
    let large = Message::new(vec![7; BYTES])
        .with_key("k\0")
        .with_header("ce_id", "7");
    let at = kafka.publish_compressed(topic, &large).await;
    kafka.publish(topic, "k", "next").await;
    handler.wait_done(1).await;

    let all = Sweep {
        filter: Filter::default(),
        limit: u64::MAX,
        per_second: None,
        time_max: None,
    };
    let mut letters = Vec::new();
    let mut note = |letter: &DeadLetter, settled: Option<Settled>| {
        letters.push((letter.clone(), settled));
    };
    let swept = all.run(store, Act::Redrive, &mut note).await.unwrap();
    assert_eq!((swept.matched, swept.settled, swept.bodyless), (1, 0, 1));
    let (letter, settled) = letters.remove(0);
    assert_eq!(settled, Some(Settled::Bodyless));
    assert_eq!(letter.body_bytes, Some(BYTES as u64));
    assert_eq!(letter.event_id.as_deref(), Some("7"));
    let origin = (letter.source.as_str(), letter.partition, letter.offset);
    assert_eq!(origin, (topic, Some(at.partition), Some(at.offset)));
    assert_eq!(store.count(&letter.place).await.unwrap(), 1, "it stays");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_a_dead_letter_topic_is_parked_without_its_body() {
    let topic = unique("large");
    let graveyard = dead_letter_topic(&topic, "billing");
    let kafka = Kafka::start(&[(&topic, 1), (&graveyard, 1)]);
    let store = KafkaDeadLetters::of(&kafka.config, "billing", [topic.as_str()]).unwrap();
    parked_without_its_body(&kafka, &topic, ParkIn::Topic, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_a_dead_letter_queue_is_parked_without_its_body() {
    let (topic, pg) = (unique("large"), Pg::start().await);
    let kafka = Kafka::start(&[(&topic, 1)]);
    let queue = group_queue(&topic, "billing");
    pg.queue.declare(&queue).await.unwrap();
    let store = PgDeadLetters::of(pg.pool.clone(), [queue]);
    let park_in = ParkIn::Queue(Arc::new(pg.queue.clone()));
    parked_without_its_body(&kafka, &topic, park_in, &store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_parked_is_not_passed() {
    let topic = unique("unparkable");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let graveyard = dead_letter_topic(&topic, "g");
    kafka.mock().create_topic(&graveyard, 1, 1).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.mock().topic_error(&graveyard, refused).unwrap();
    let poisoned = || {
        Recorder::with(|delivery| async move {
            if body(&delivery) == "poison" {
                Err(permanent("unreadable"))
            } else {
                Ok(())
            }
        })
    };
    kafka.publish(&topic, "k", "poison").await;
    kafka.publish(&topic, "k", "next").await;
    let handler = poisoned();
    let running = kafka.consume("g", &topic, handler.clone());
    eventually("the poison was seen", async || !handler.seen().is_empty()).await;
    running.stop().await;
    assert!(handler.done().is_empty(), "nothing passes it");

    kafka
        .mock()
        .topic_error(&graveyard, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
        .unwrap();
    let handler = poisoned();
    let running = kafka.consume("g", &topic, handler.clone());
    handler.wait_done(1).await;
    assert_eq!(
        handler.seen().iter().map(body).collect::<Vec<_>>(),
        ["poison", "next"]
    );
    let reader = Recorder::new();
    let reading = kafka.consume("reader", &graveyard, reader.clone());
    reader.wait_done(1).await;
    reading.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_topic_that_may_not_be_read_is_told_and_holds_up_no_fact() {
    let topic = unique("forbidden");
    let retry = retry_topic(&topic, "g");
    let kafka = Kafka::start(&[(&topic, 1), (&retry, 1)]);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.mock().topic_error(&retry, refused).unwrap();
    let (watched, unread, handler) = (Watched::new(), Watched::new(), Recorder::new());
    let mut options = options("g", &topic);
    options.unread = unread.status();
    let running = kafka.consume_with(options, handler.clone(), watched.status());
    unread.tells(&retry).await;
    kafka.publish(&topic, "k", "x").await;
    handler.wait_done(1).await;
    watched.up().await;
    running.stop().await;
}

/// As brokers do that let the account write to a topic: they show it the topic, and refuse to let it read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_there_and_may_not_be_read_is_told() {
    let topic = unique("forbidden");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let fetch = RDKafkaApiKey::Fetch;
    // At the end of a partition librdkafka takes the mock's first answer for that and not for an error.
    kafka.mock().request_errors(fetch, &[refused, refused]);
    let unread = Watched::new();
    let mut options = options("g", &topic);
    options.unread = unread.status();
    let running = kafka.consume_with(options, Recorder::new(), Status::ignore());
    unread.tells(&topic).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_handler_is_given_some_tries_and_then_parked() {
    let topic = unique("panic");
    let kafka = Kafka::start(&[(&topic, 1)]);
    let handler = Recorder::with(|delivery| async move {
        assert!(body(&delivery) != "bug", "index out of bounds");
        Ok(())
    });
    let running = kafka.consume("g", &topic, handler.clone());
    kafka.publish(&topic, "k", "bug").await;
    kafka.publish(&topic, "k", "next").await;
    handler.wait_done(1).await;
    assert_eq!(handler.seen().len(), MAX_PANICS as usize + 1);
    let reader = Recorder::new();
    let reading = kafka.consume("reader", &dead_letter_topic(&topic, "g"), reader.clone());
    let parked = reader.wait_done(1).await.remove(0);
    assert_eq!(
        parked.header(dead_letter::REASON),
        Some("the handler panicked: index out of bounds")
    );
    assert_eq!(
        parked.header(dead_letter::ATTEMPTS),
        Some(MAX_PANICS.to_string().as_str())
    );
    reading.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_interrupts_the_pause_between_tries() {
    let topic = unique("retrying");
    let kafka = Kafka::start(&[(&topic, 2)]);
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let handler = Recorder::with(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(transient("always")) }
    });
    let mut slow = options("g", &topic);
    slow.backoff = Duration::from_secs(60);
    slow.backoff_cap = Duration::from_secs(60);
    slow.drain = Duration::from_secs(25);
    let running = kafka.consume_with(slow, handler.clone(), Status::ignore());
    kafka.publish(&topic, "k", "x").await;
    eventually("it failed", async || tries.load(Ordering::SeqCst) >= 1).await;
    let begun = std::time::Instant::now();
    running.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "the pause between tries ends at once"
    );
}

on_mock!(a_permanent_failure_is_parked_with_its_reason_and_its_neighbours_go_on,);
