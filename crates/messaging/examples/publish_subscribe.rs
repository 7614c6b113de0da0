//! Three parties that want to know: called one after the other, and subscribed to an exchange.
//!
//! ```sh
//! cargo run -p messaging --example publish_subscribe
//! cargo run -p messaging --example publish_subscribe -- without
//! ```
//!
//! The exchange is the one of the queue in PostgreSQL, in a private cluster; RabbitMQ's does the same.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use messaging::pg_queue::PgQueue;
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Publisher, Queue, Status,
};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const UPLOADS: usize = 100;
/// The uploads during which `search` is away.
const OUTAGE: std::ops::Range<usize> = 20..60;
const NAMES: [&str; 3] = ["thumbnails", "search", "statistics"];

/// Whoever wants to know of uploads.
struct Party {
    away: AtomicBool,
    heard: AtomicUsize,
    told: Semaphore,
}

impl Party {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            away: AtomicBool::new(false),
            heard: AtomicUsize::new(0),
            told: Semaphore::new(0),
        })
    }

    fn hear(&self) -> Result<(), &'static str> {
        if self.away.load(Ordering::Relaxed) {
            return Err("nobody answers");
        }
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.told.add_permits(1);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Handler for Party {
    async fn handle(&self, _upload: &Delivery) -> Result<(), HandlerError> {
        self.hear().map_err(HandlerError::transient)
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let parties = [(); 3].map(|()| Party::new());
    let (title, failed) = match std::env::args().nth(1).as_deref() {
        Some("without") => ("one call after the other", without(&parties)),
        _ => ("an exchange", with(&parties).await?),
    };
    println!(
        "{title}: {UPLOADS} uploads, search away during {}",
        OUTAGE.len()
    );
    println!("  failed for the publisher {failed:>4}");
    for (name, party) in NAMES.iter().zip(&parties) {
        println!(
            "  {name:<11} heard of     {:>4}",
            party.heard.load(Ordering::Relaxed)
        );
    }
    Ok(())
}

/// The publisher knows everybody, and stops at the first who does not answer.
fn without(parties: &[Arc<Party>; 3]) -> usize {
    let upload = |n| {
        parties[1]
            .away
            .store(OUTAGE.contains(&n), Ordering::Relaxed);
        parties.iter().try_for_each(|party| party.hear())
    };
    (0..UPLOADS).filter(|n| upload(*n).is_err()).count()
}

async fn with(parties: &[Arc<Party>; 3]) -> Result<usize, AnyError> {
    let database = embedded::testing::fresh_database();
    let queue = PgQueue::new(PgPool::connect(&database.url).await?);
    queue.install().await?;
    // region: subscribe
    // Each party binds a queue of its own, once. The publisher is not changed for another one.
    for name in NAMES {
        queue.declare(name).await?;
        queue.bind("upload", name).await?;
    }
    // endregion: subscribe
    let consume = |n: usize| {
        let (queue, party) = (queue.clone(), parties[n].clone());
        let (options, status) = (ConsumeOptions::default(), Status::ignore());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        let consumer = tokio::spawn(async move {
            queue
                .consume(NAMES[n], options, party, status, shutdown)
                .await
        });
        (stop, consumer)
    };
    let mut running = vec![consume(0), consume(2)];
    let mut search = Some(consume(1));
    // region: publish
    let (upload, mut failed) = (Destination::Exchange("upload".to_owned()), 0);
    for n in 0..UPLOADS {
        if n == OUTAGE.start
            && let Some((stop, consumer)) = search.take()
        {
            drop(stop);
            consumer.await??;
        }
        if n == OUTAGE.end {
            search = Some(consume(1));
        }
        let picture = Message::new(format!("{n}.jpg"));
        failed += usize::from(queue.publish(&upload, picture).await.is_err());
    }
    // endregion: publish
    running.extend(search);
    for party in parties {
        party.told.acquire_many(UPLOADS as u32).await?.forget();
    }
    for (stop, consumer) in running {
        drop(stop);
        consumer.await??;
    }
    Ok(failed)
}
