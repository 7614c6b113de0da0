//! A publisher that reports whether its engine answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Destination, Message, PublishError, Publisher, Status};

/// For how long one key must have had no answer, with nothing else to tell by, until the engine counts as away.
const ALONE: Duration = Duration::from_secs(5);

/// Passes everything on to a publisher, and reports whether its engine is there.
///
/// For an outbox with two ways out ([`Router`](crate::Router)): the relay has one [`Status`] for both, which cannot say which
/// of two engines is away. The rules are those of the relay: a refusal is an answer too; two keys without one show that the
/// engine is away, and a single key does after a while. A key that fails while others are answered is no outage.
pub struct Watched {
    publisher: Arc<dyn Publisher>,
    status: Status,
    /// Held during the report, so that reports come in the order of what they say.
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// When the engine answered last.
    answered: Option<Instant>,
    /// The first publication since then that it did not answer.
    silent: Option<Silent>,
}

struct Silent {
    since: Instant,
    key: Option<String>,
}

impl Watched {
    /// Publishes through `publisher`, and reports to `status` whether its engine answers.
    #[must_use]
    pub fn new(publisher: Arc<dyn Publisher>, status: Status) -> Self {
        Self {
            publisher,
            status,
            heard: Mutex::default(),
        }
    }

    fn hear(&self, asked: &Asked<'_>) {
        let mut heard = self.heard.lock();
        let Err(reason) = &asked.answer else {
            *heard = Heard {
                answered: Some(Instant::now()),
                silent: None,
            };
            self.status.up();
            return;
        };
        if heard.answered.is_some_and(|at| at >= asked.began) {
            return;
        }
        let silent = heard.silent.get_or_insert_with(|| Silent {
            since: asked.began,
            key: asked.key.clone(),
        });
        if silent.key != asked.key || silent.since.elapsed() >= ALONE {
            self.status.down(reason.clone());
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl Publisher for Watched {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let mut asked = Asked {
            watched: self,
            began: Instant::now(),
            key: message.key.clone(),
            answer: Err("no answer in time".to_owned()),
        };
        let published = self.publisher.publish(to, message).await;
        asked.answer = match &published {
            Err(PublishError::Unavailable(reason)) => Err(reason.clone()),
            Ok(()) | Err(PublishError::Rejected(_) | PublishError::TooLarge(_)) => Ok(()),
        };
        published
    }

    fn system(&self, to: &Destination) -> &'static str {
        self.publisher.system(to)
    }

    fn nothing_waits(&self) {
        let mut heard = self.heard.lock();
        if heard.silent.take().is_some() {
            self.status.up();
        }
        drop(heard);
        self.publisher.nothing_waits();
    }
}

/// A publication under way. It is heard when it is dropped: a caller that stops waiting had no answer.
struct Asked<'a> {
    watched: &'a Watched,
    began: Instant,
    key: Option<String>,
    answer: Result<(), String>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.watched.hear(self);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::Router;

    /// An engine that answers at once; or, while it is away, not within a second.
    #[derive(Default)]
    struct Engine {
        is_away: AtomicBool,
    }

    #[async_trait]
    impl Publisher for Engine {
        async fn publish(&self, _to: &Destination, message: Message) -> Result<(), PublishError> {
            if self.is_away.load(Ordering::Relaxed) || is_bad(&message) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Err(PublishError::Unavailable("no answer".to_owned()));
            }
            Ok(())
        }
    }

    fn is_bad(message: &Message) -> bool {
        message
            .key
            .as_ref()
            .is_some_and(|key| key.starts_with("bad"))
    }

    type Notes = Arc<Mutex<Vec<Result<(), String>>>>;

    /// An engine, the publisher that watches it, and what was reported.
    fn watched() -> (Arc<Engine>, Arc<Watched>, Notes) {
        let (engine, notes) = (Arc::new(Engine::default()), Notes::default());
        let log = Arc::clone(&notes);
        let status = Status::new(Arc::new(move |state| log.lock().push(state)));
        let watched = Watched::new(engine.clone(), status);
        (engine, Arc::new(watched), notes)
    }

    async fn publish(to: &dyn Publisher, destination: &str, key: &str) {
        let destination: Destination = destination.parse().unwrap();
        // The reports are looked at, not the answer.
        let _ = to
            .publish(&destination, Message::new("{}").with_key(key))
            .await;
    }

    fn away() -> Result<(), String> {
        Err("no answer".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_engines_the_one_that_is_away_is_reported() {
        let (kafka, topics, of_kafka) = watched();
        let (_, queues, of_queue) = watched();
        let router = Router::new(topics, queues);
        kafka.is_away.store(true, Ordering::Relaxed);
        for key in ["a", "b"] {
            publish(&router, "topic:events", key).await;
            publish(&router, "exchange:jobs", key).await;
        }
        assert_eq!(*of_kafka.lock(), [away()]);
        assert_eq!(*of_queue.lock(), [Ok(())]);
        kafka.is_away.store(false, Ordering::Relaxed);
        publish(&router, "topic:events", "a").await;
        assert_eq!(*of_kafka.lock(), [away(), Ok(())]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_nothing_waits_for_is_not_away() {
        let (kafka, topics, of_kafka) = watched();
        let (_, queues, of_queue) = watched();
        let router = Router::new(topics, queues);
        kafka.is_away.store(true, Ordering::Relaxed);
        for key in ["a", "b"] {
            publish(&router, "topic:events", key).await;
        }
        router.nothing_waits();
        assert_eq!(*of_kafka.lock(), [away(), Ok(())]);
        assert!(of_queue.lock().is_empty(), "nothing is known of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_key_counts_for_its_engine_after_a_while() {
        let (engine, watched, notes) = watched();
        engine.is_away.store(true, Ordering::Relaxed);
        // A second each.
        for _ in 1..ALONE.as_secs() {
            publish(&*watched, "topic:events", "a").await;
        }
        assert!(notes.lock().is_empty());
        publish(&*watched, "topic:events", "a").await;
        assert_eq!(*notes.lock(), [away()]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_while_others_are_answered_is_no_outage() {
        let (_, watched, notes) = watched();
        for _ in 0..2 * ALONE.as_secs() {
            let one = publish(&*watched, "topic:events", "bad");
            let two = publish(&*watched, "topic:events", "bad too");
            let other = async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                publish(&*watched, "topic:events", "good").await;
            };
            tokio::join!(one, two, other);
        }
        assert_eq!(*notes.lock(), [Ok(())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_stops_waiting_had_no_answer() {
        let (engine, watched, notes) = watched();
        engine.is_away.store(true, Ordering::Relaxed);
        for key in ["a", "b"] {
            let patience = Duration::from_millis(10);
            let waits = tokio::time::timeout(patience, publish(&*watched, "topic:events", key));
            waits.await.unwrap_err();
        }
        assert_eq!(*notes.lock(), [Err("no answer in time".to_owned())]);
    }
}
