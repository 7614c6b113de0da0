//! A consumer in a process of its own, which is killed: the broker learns it from nobody.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use embedded::testing::Child;
use messaging::amqp::AmqpQueue;
use messaging::kafka::KafkaConfig;
use messaging::pg_queue::PgQueue;
use messaging::{Delivery, MessagingError, Queue, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::engines::{on_queue, on_stream};
use super::{Engine, Terms};
use crate::support::{Recorder, body, eventually};

/// The test that the child runs.
const CHILD: &str = "conformance::processes::is_a_consumer";

/// Where another process finds what a subscriber gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Seat {
    Kafka {
        brokers: String,
        topic: String,
        group: String,
    },
    Postgres {
        url: String,
        queue: String,
    },
    Amqp {
        url: String,
        queue: String,
    },
}

/// What a child is told.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    seat: Seat,
    lease: Duration,
    /// The file to which it adds a line for each message that it has in hand.
    in_hand: PathBuf,
}

/// Several of one key are in its hands, or behind the one that is.
pub(crate) async fn what_a_killed_process_had_in_hand_comes_again<E: Engine>() {
    const BODIES: [&str; 3] = ["in hand", "behind it", "and behind that"];
    let engine = E::start().await;
    let seat = engine.seat("one").await;
    assert_eq!(seat.is_some(), E::NATURE.in_processes);
    let Some(seat) = seat else { return };
    let directory = tempfile::tempdir().unwrap();
    let in_hand = directory.path().join("in-hand");
    let work = Work {
        seat,
        lease: Duration::from_millis(600),
        in_hand: in_hand.clone(),
    };
    let process = Child::start(CHILD, &json!(work));
    engine.publish_bodies(&BODIES).await;
    eventually("the process has one in hand", async || in_hand.exists()).await;
    process.kill();
    engine.assert_left("one", true, &BODIES).await;
}

/// The child in the target that libtest runs; the other one has a `main` that asks first.
#[test]
#[ignore = "only run by what_a_killed_process_had_in_hand_comes_again"]
fn is_a_consumer() {
    if let Some(task) = embedded::testing::task() {
        consume(task);
    }
}

/// Does the work of a child: takes messages and finishes none.
pub(crate) fn consume(task: Value) {
    let work: Work = serde_json::from_value(task).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(work.run());
    panic!("it ended by itself: {ended:?}");
}

impl Work {
    async fn run(self) -> Result<(), MessagingError> {
        let Self {
            seat,
            lease,
            in_hand,
        } = self;
        let handler = Recorder::with(move |delivery| {
            note(&in_hand, &delivery);
            std::future::pending()
        });
        let terms = Terms {
            lease,
            ..Terms::default()
        };
        let (status, stop) = (Status::ignore(), CancellationToken::new());
        match seat {
            Seat::Kafka {
                brokers,
                topic,
                group,
            } => {
                let config = KafkaConfig::new(brokers, "killed");
                let options = on_stream(&group, &topic, &terms);
                messaging::kafka::consume(&config, options, handler, status, stop).await
            }
            Seat::Postgres { url, queue } => {
                let pool = PgPool::connect(&url).await.unwrap();
                let engine: Arc<dyn Queue> = Arc::new(PgQueue::new(pool));
                let consumed = engine.consume(&queue, on_queue(&terms), handler, status, stop);
                consumed.await
            }
            Seat::Amqp { url, queue } => {
                let engine: Arc<dyn Queue> = Arc::new(AmqpQueue::new(&url, "killed").unwrap());
                let consumed = engine.consume(&queue, on_queue(&terms), handler, status, stop);
                consumed.await
            }
        }
    }
}

/// In one write: who looks while it is written sees the whole line or none of it.
fn note(file: &Path, delivery: &Delivery) {
    let file = fs::File::options().append(true).create(true).open(file);
    let line = format!("{}\n", body(delivery));
    file.unwrap().write_all(line.as_bytes()).unwrap();
}
