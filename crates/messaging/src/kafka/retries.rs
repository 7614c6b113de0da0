//! Consumes messages that were parked in a queue and redriven: see [`ParkIn::Queue`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backoff::Backoff;
use tokio_util::sync::CancellationToken;

use super::config::{ConsumerOptions, ParkIn};
use super::names::group_queue;
use crate::{ConsumeOptions, Delivery, Handler, HandlerError, MessagingError, Queue, Status};

/// How often to look for messages: somebody sent them again by hand, and waits for them.
const POLL: Duration = Duration::from_secs(1);
/// The pauses between two tries to reach the queue: the first, and the longest.
const REACH: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Runs until `shutdown`; ends at once where dead letters are kept in topics.
pub(super) async fn run(
    options: &ConsumerOptions,
    handler: &Arc<dyn Handler>,
    shutdown: &CancellationToken,
) {
    let ParkIn::Queue(queue) = &options.park_in else {
        return;
    };
    let topics = options.topics.iter();
    let consumers = topics.map(|topic| consume(queue.as_ref(), topic, options, handler, shutdown));
    futures::future::join_all(consumers).await;
}

async fn consume(
    queue: &dyn Queue,
    topic: &str,
    options: &ConsumerOptions,
    handler: &Arc<dyn Handler>,
    shutdown: &CancellationToken,
) {
    let name = group_queue(topic, &options.group);
    let mut backoff = Backoff::new(REACH.0, REACH.1);
    loop {
        // An engine that is away answers late, and must not hold up a stop.
        let declared = shutdown.run_until_cancelled(declare(queue, &name));
        match declared.await {
            None => return,
            Some(Ok(())) => break,
            Some(Err(error)) => {
                tracing::debug!(%error, queue = name, "the queue of dead letters cannot be declared yet");
            }
        }
        let pause = tokio::time::sleep(backoff.next());
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
    let settings = ConsumeOptions {
        // One after the other, in the order in which they were sent again.
        concurrency: 1,
        poll: POLL,
        drain: options.drain,
        ..ConsumeOptions::default()
    };
    let handler = Arc::new(FromTopic {
        topic: topic.to_owned(),
        handler: Arc::clone(handler),
    });
    let consumed = queue.consume(&name, settings, handler, Status::ignore(), shutdown.clone());
    if let Err(error) = consumed.await {
        tracing::error!(%error, queue = name, "the queue of dead letters is not consumed");
    }
}

async fn declare(queue: &dyn Queue, name: &str) -> Result<(), MessagingError> {
    queue.install().await?;
    queue.declare(name).await
}

/// The handler gets them as from their topic.
struct FromTopic {
    topic: String,
    handler: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for FromTopic {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let delivery = Delivery {
            source: self.topic.clone(),
            ..delivery.clone()
        };
        self.handler.handle(&delivery).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::DeadLetterStore;
    use crate::{Destination, Message, PublishError, Publisher};

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl Publisher for Silent {
        async fn publish(&self, _: &Destination, _: Message) -> Result<(), PublishError> {
            std::future::pending().await
        }
    }

    #[async_trait]
    impl Queue for Silent {
        async fn install(&self) -> Result<(), MessagingError> {
            std::future::pending().await
        }

        async fn declare(&self, _: &str) -> Result<(), MessagingError> {
            std::future::pending().await
        }

        async fn bind(&self, _: &str, _: &str) -> Result<(), MessagingError> {
            std::future::pending().await
        }

        fn dead_letters(&self, _: &[String]) -> Box<dyn DeadLetterStore> {
            unreachable!("nobody asks for them")
        }

        async fn consume(
            &self,
            _: &str,
            _: ConsumeOptions,
            _: Arc<dyn Handler>,
            _: Status,
            _: CancellationToken,
        ) -> Result<(), MessagingError> {
            std::future::pending().await
        }
    }

    /// Gets nothing.
    struct Idle;

    #[async_trait]
    impl Handler for Idle {
        async fn handle(&self, _: &Delivery) -> Result<(), HandlerError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_does_not_answer_holds_up_no_stop() {
        let options = ConsumerOptions {
            park_in: ParkIn::Queue(Arc::new(Silent)),
            ..ConsumerOptions::new("g", ["events"])
        };
        let handler: Arc<dyn Handler> = Arc::new(Idle);
        let end = CancellationToken::new();
        let stopping = async {
            tokio::task::yield_now().await;
            end.cancel();
        };
        let both = async { tokio::join!(run(&options, &handler, &end), stopping) };
        let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
        assert!(ended.is_ok(), "it waits for an answer");
    }
}
