//! What whoever watches is shown of the work on events.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envelope::{Event, TraceContext};
use messaging::{Delivery, Handler as _, Message};
use outbox::{Consumers, EventHandler, Failure, Reads, Received, Transaction};
use parking_lot::Mutex;
use tracing::field::{Empty, Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use crate::fixture::{Counted, Service};

/// Refuses several events at once.
struct OneAtATime;

impl EventHandler for OneAtATime {
    type Fact = Counted;

    fn reads() -> Reads<Counted> {
        Reads::new().event(|counted: Counted| counted)
    }

    async fn apply(
        &self,
        _: &mut Transaction,
        events: Vec<Received<Counted>>,
    ) -> Result<(), Failure> {
        match events.len() {
            1 => Ok(()),
            _ => Err(Failure::permanent("one at a time")),
        }
    }
}

/// The spans that have failed.
#[derive(Default)]
struct Failed {
    spans: AtomicU64,
    failed: Arc<Mutex<Vec<u64>>>,
}

/// Whether an error was recorded.
struct HasError(bool);

impl Visit for HasError {
    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        self.0 |= field.name() == "error.type";
    }
}

impl Subscriber for Failed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut error = HasError(false);
        values.record(&mut error);
        if error.0 {
            self.failed.lock().push(span.into_u64());
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn each_event_of_a_batch_that_fails_is_seen_to_fail() {
    let service = Service::start().await;
    let seen = Failed::default();
    let failed = Arc::clone(&seen.failed);
    let _watching = tracing::subscriber::set_default(seen);
    let consumers = Consumers::new(service.pool.clone(), service.outbox.clone()).traced(
        |name, _| tracing::info_span!("message", name, error.type = Empty),
        |_| TraceContext::default(),
    );
    let consumer = consumers.idempotent("one at a time", OneAtATime);
    let batch = ["a", "b"].map(|key| {
        let event = Event::new(Counted {
            key: key.to_owned(),
            n: 1,
        });
        let message = event.to_binary(envelope::KAFKA_PREFIX).unwrap();
        let message = Message {
            key: Some(event.subject),
            headers: message.headers,
            payload: message.body,
        };
        Delivery::new(message, "counts", 1)
    });
    consumer.handle_batch(&batch).await.unwrap_err();
    let mut spans = failed.lock().clone();
    spans.dedup();
    assert_eq!(spans.len(), 2, "{spans:?}");
    failed.lock().clear();
    for delivery in &batch {
        consumer.handle(delivery).await.unwrap();
    }
    assert!(failed.lock().is_empty());
}
