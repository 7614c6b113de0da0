//! How a service that is built on `chassis` starts its consumers, and what it shows of their dead letters.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::Base;
use chassis::admin::{DeadLetterOffice, DeadLetters, Listed, Pace, Redriven, Which};
use serde_json::json;

use crate::dead_letters::{Act, DeadLetter, DeadLetterStore, Filter, Settled, Sweep, Swept};
#[cfg(feature = "kafka")]
use crate::kafka::{self, ConsumerOptions, KafkaConfig};
use crate::{ConsumeOptions, Handler, MessagingError, Queue, Status};

/// Starts the consumer of a stream as the task `name` of the service. Topics that its account may not read, and that it works
/// without, are a part of `/readyz` of their own.
#[cfg(feature = "kafka")]
pub fn start_stream(
    base: &mut Base,
    name: &'static str,
    stream: KafkaConfig,
    options: ConsumerOptions,
    handler: Arc<dyn Handler>,
    status: Status,
) {
    let unread = base.health.optional(format!("topics of {name}"));
    let options = ConsumerOptions {
        unread: Status::new(unread.reporter()),
        ..options
    };
    let stop = base.shutdown.token();
    base.tasks.spawn(name, async move {
        kafka::consume(&stream, options, handler, status, stop).await
    });
}

/// Starts the consumer of a queue as a task of the service. How many dead letters the queue has is a part of `/readyz` of its
/// own: what one queue has must not hide what another has.
pub fn start_queue(
    base: &mut Base,
    queue: Arc<dyn Queue>,
    name: &'static str,
    options: ConsumeOptions,
    handler: Arc<dyn Handler>,
    status: Status,
) {
    let dead_letters = base.health.optional(format!("dead letters of {name}"));
    let options = ConsumeOptions {
        dead_letters: Status::new(dead_letters.quiet_reporter()),
        ..options
    };
    let stop = base.shutdown.token();
    base.tasks.spawn(name, async move {
        queue.consume(name, options, handler, status, stop).await
    });
}

/// Shows what is in `stores` on the admin port (`GET /dead-letters`), and lets it be sent again from there.
pub fn show_dead_letters(
    on: &DeadLetters,
    stores: impl IntoIterator<Item = impl Into<Arc<dyn DeadLetterStore>>>,
) {
    let stores = stores.into_iter().map(Into::into).collect();
    on.are_in(Arc::new(Office(stores)));
}

struct Office(Vec<Arc<dyn DeadLetterStore>>);

impl Office {
    async fn sweep<'a>(
        &'a self,
        sweep: &'a Sweep,
        act: Act<'a>,
        note: &'a mut (dyn FnMut(&DeadLetter, Option<Settled>) + Send),
    ) -> Result<Swept, String> {
        let stores: Vec<_> = self.0.iter().map(AsRef::as_ref).collect();
        let swept = sweep.run_over(stores, act, note).await;
        swept.map_err(|error: MessagingError| error.to_string())
    }
}

#[async_trait]
impl DeadLetterOffice for Office {
    async fn list(&self, which: &Which) -> Result<Listed, String> {
        let mut dead_letters = Vec::new();
        let mut note = |letter: &DeadLetter, _: Option<Settled>| dead_letters.push(json!(letter));
        let sweep = sweep(which, None);
        let swept = self.sweep(&sweep, Act::Look, &mut note).await?;
        Ok(Listed {
            dead_letters,
            more: swept.more,
        })
    }

    async fn redrive(&self, which: &Which, pace: Pace) -> Result<Redriven, String> {
        let act = if pace.dry_run {
            Act::Rehearse
        } else {
            Act::Redrive
        };
        let sweep = sweep(which, Some(pace));
        let swept = self.sweep(&sweep, act, &mut |_, _| {}).await?;
        if !pace.dry_run {
            let count = swept.settled;
            tracing::warn!(count, "dead letters were sent again by hand");
        }
        Ok(Redriven {
            matched: swept.matched,
            settled: swept.settled,
            gone: swept.gone,
            bodyless: swept.bodyless,
            more: swept.more,
        })
    }
}

fn sweep(which: &Which, pace: Option<Pace>) -> Sweep {
    let which = which.clone();
    Sweep {
        filter: Filter {
            source: which.source,
            group: which.group,
            id: which.id,
            event_type: which.event_type,
            reason: which.reason,
            older_than: which.older_than,
            newer_than: which.newer_than,
        },
        limit: which.limit,
        per_second: pace.and_then(|pace| pace.per_second),
        time_max: Some(which.time_max),
    }
}
