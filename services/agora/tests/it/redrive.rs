//! `agora dlq redrive` over a queue, killed twice while other work comes in.

use std::collections::HashMap;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Queue, Status,
    dead_letter,
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, agora, run};

/// Letters at the beginning.
const PARKED: usize = 500;
/// Jobs that come in meanwhile.
const TRAFFIC: usize = 200;
/// Letters that a redrive has sent again when it is killed, at least.
const SENT: usize = 20;

/// Jobs by their ids, and how often each was handled.
#[derive(Default)]
struct Worker(Mutex<HashMap<String, usize>>);

impl Worker {
    fn done(&self) -> HashMap<String, usize> {
        self.0.lock().clone()
    }

    fn letters_done(&self) -> usize {
        let done = self.0.lock();
        done.keys().filter(|id| id.starts_with("letter-")).count()
    }
}

#[async_trait]
impl Handler for Worker {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let id = delivery.header("ce_id").expect("an id").to_owned();
        *self.0.lock().entry(id).or_default() += 1;
        Ok(())
    }
}

fn message(kind: &str, number: usize) -> Message {
    Message::new("{}").with_header("ce_id", format!("{kind}-{number}"))
}

/// Waits for what nothing announces.
async fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A command that can be killed.
fn redrive(place: &[&str], rate: &str) -> Child {
    let mut command = agora(&["dlq", "redrive", "--all", "--rate", rate]);
    let command = command.args(place).stdout(Stdio::null());
    command.spawn().expect("to start a redrive")
}

fn listed(place: &[&str]) -> usize {
    let mut command = agora(&["dlq", "list", "--json"]);
    command.args(place);
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{err}");
    let listed: Value = serde_json::from_str(&out).expect("JSON");
    listed["dead_letters"].as_array().expect("a list").len()
}

/// The letters of `queue` are sent again by a command that is told its `place` and killed twice in the middle. Returns how
/// often each of all jobs was handled: none is lost.
pub(crate) async fn killed_twice_under_traffic(
    queue: Arc<dyn Queue>,
    name: &str,
    place: &[&str],
) -> HashMap<String, usize> {
    queue.install().await.expect("the queue's engine");
    queue.declare(name).await.expect("a queue");
    let dead = Destination::Queue(format!("{name}.dead"));
    let letters = (0..PARKED).map(|number| {
        let letter = message("letter", number);
        let letter = letter.with_header(dead_letter::REASON, "a mistake that is mended");
        queue.publish(&dead, letter.with_header(dead_letter::QUEUE, name))
    });
    for parked in futures::future::join_all(letters).await {
        parked.expect("to park");
    }

    let (worker, stop) = (Arc::new(Worker::default()), CancellationToken::new());
    let (works, handler, token) = (queue.clone(), worker.clone(), stop.clone());
    let own = name.to_owned();
    let working = tokio::spawn(async move {
        let options = ConsumeOptions::default();
        works
            .consume(&own, options, handler, Status::ignore(), token)
            .await
    });
    let (sends, to) = (queue.clone(), Destination::Queue(name.to_owned()));
    let traffic = tokio::spawn(async move {
        for number in 0..TRAFFIC {
            let sent = sends.publish(&to, message("job", number)).await;
            sent.expect("to publish");
        }
    });

    for _ in 0..2 {
        let before = worker.letters_done();
        let mut child = redrive(place, "40");
        until("some to be sent again", || {
            worker.letters_done() >= before + SENT
        })
        .await;
        let at_work = child.try_wait().expect("a status").is_none();
        child.kill().expect("to kill it");
        child.wait().expect("its end");
        assert!(at_work, "it was killed at work");
    }
    // A broker gives back what a killed visit held when it notices; then nothing is missed by the next one.
    let end = Instant::now() + PATIENCE;
    while worker.letters_done() < PARKED {
        assert!(Instant::now() < end, "{} letters", worker.letters_done());
        let mut child = redrive(place, "0");
        let ended = tokio::task::spawn_blocking(move || child.wait()).await;
        assert!(ended.expect("a task").expect("its end").success());
        let done = worker.letters_done();
        let more = || worker.letters_done() > done || done == PARKED;
        let _some = tokio::time::timeout(Duration::from_secs(1), until("more", more)).await;
    }
    traffic.await.expect("the traffic");
    until("all jobs to be done", || {
        worker.done().len() == PARKED + TRAFFIC
    })
    .await;
    assert_eq!(listed(place), 0, "nothing is unsettled");
    stop.cancel();
    working.await.expect("the worker").expect("its end");
    worker.done()
}

/// In PostgreSQL a letter moves in one statement, so none comes twice either.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_over_postgresql_that_is_killed_twice_loses_and_doubles_nothing() {
    let database = embedded::testing::fresh_database();
    let pool = sqlx::PgPool::connect(&database.url).await;
    let queue = messaging::pg_queue::PgQueue::new(pool.expect("the database"));
    let place = ["--database", database.url.as_str()];
    let done = killed_twice_under_traffic(Arc::new(queue), "jobs", &place).await;
    let twice: Vec<_> = done.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
