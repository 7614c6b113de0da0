//! Work that is handed to somebody who is away for a while: called, and through a queue.
//!
//! ```sh
//! cargo run -p messaging --example message_queue
//! cargo run -p messaging --example message_queue -- without
//! ```
//!
//! The queue is the one in PostgreSQL, in a private cluster; RabbitMQ's does the same.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messaging::pg_queue::PgQueue;
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Publisher, Queue, Status,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const REQUESTS: usize = 200;
/// The requests during which the renderer is away.
const OUTAGE: std::ops::Range<usize> = 60..160;

/// Makes a picture of each request; is restarted in the middle.
#[derive(Default)]
struct Renderer {
    away: AtomicBool,
    rendered: Mutex<HashMap<String, usize>>,
    tried_again: Mutex<usize>,
    all: Notify,
}

impl Renderer {
    async fn render(&self, picture: &str) -> Result<(), &'static str> {
        if self.away.load(Ordering::Relaxed) {
            return Err("the renderer is away");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut rendered = self.rendered.lock();
        *rendered.entry(picture.to_owned()).or_default() += 1;
        if rendered.len() == REQUESTS {
            self.all.notify_one();
        }
        Ok(())
    }

    /// What happens to the renderer while request `n` comes in.
    fn at(&self, n: usize) {
        self.away.store(OUTAGE.contains(&n), Ordering::Relaxed);
    }

    fn print(&self, title: &str, refused: usize) {
        let rendered = self.rendered.lock();
        let twice = rendered.values().filter(|times| **times > 1).count();
        println!(
            "{title}: {REQUESTS} requests while the renderer was away for {}",
            OUTAGE.len()
        );
        println!("  failed for the caller   {refused:>4}");
        println!("  rendered                {:>4}", rendered.len());
        println!("  rendered twice          {twice:>4}");
        println!("  lost                    {:>4}", REQUESTS - rendered.len());
    }
}

// region: handler
/// A worker: what fails comes again after a delay, and others pass it meanwhile.
#[async_trait::async_trait]
impl Handler for Renderer {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        *self.tried_again.lock() += usize::from(delivery.attempt > 1);
        let picture = String::from_utf8_lossy(&delivery.message.payload);
        self.render(&picture).await.map_err(HandlerError::transient)
    }
}
// endregion: handler

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    match std::env::args().nth(1).as_deref() {
        Some("without") => without().await,
        _ => with().await?,
    }
    Ok(())
}

async fn without() {
    let (renderer, mut refused) = (Renderer::default(), 0);
    for n in 0..REQUESTS {
        renderer.at(n);
        refused += usize::from(renderer.render(&format!("{n}.jpg")).await.is_err());
    }
    renderer.print("called directly", refused);
}

async fn with() -> Result<(), AnyError> {
    let database = embedded::testing::fresh_database();
    let queue = PgQueue::new(PgPool::connect(&database.url).await?);
    queue.install().await?;
    let (renderer, shutdown) = (Arc::new(Renderer::default()), CancellationToken::new());
    // region: run
    queue.declare("pictures").await?;
    let options = ConsumeOptions {
        backoff: Duration::from_millis(50),
        max_attempts: 20,
        ..ConsumeOptions::default()
    };
    // Two competing workers; more of them are more of these, in this process or in others.
    let workers = [(); 2].map(|()| {
        let (queue, options, shutdown) = (queue.clone(), options.clone(), shutdown.clone());
        let (handler, status) = (renderer.clone(), Status::ignore());
        tokio::spawn(async move {
            queue
                .consume("pictures", options, handler, status, shutdown)
                .await
        })
    });
    let to = Destination::Queue("pictures".to_owned());
    let mut refused = 0;
    for n in 0..REQUESTS {
        renderer.at(n);
        // The caller waits until the job is stored, and not until it is done.
        let job = Message::new(format!("{n}.jpg"));
        refused += usize::from(queue.publish(&to, job).await.is_err());
    }
    // endregion: run
    renderer.all.notified().await;
    shutdown.cancel();
    for worker in workers {
        worker.await??;
    }
    renderer.print("through a queue", refused);
    println!(
        "  some were tried again   {:>4}",
        if *renderer.tried_again.lock() > 0 {
            "yes"
        } else {
            "no"
        }
    );
    Ok(())
}
