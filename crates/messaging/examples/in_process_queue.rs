//! A queue inside of one process: what may pass is tried again, what never will is given up, and neither ends the worker.
//!
//! ```sh
//! cargo run -p messaging --example in_process_queue
//! ```
#![allow(clippy::print_stdout, reason = "it prints what a learner should see")]

use std::sync::Arc;

use messaging::memory::MemoryBus;
use messaging::{Delivery, Destination, Handler, HandlerError, Message, Publisher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The worker. Its fields are what it shares with `main`.
struct Resizer {
    finished: Notify,
}

// region: handler
#[async_trait::async_trait]
impl Handler for Resizer {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let picture = String::from_utf8_lossy(&delivery.message.payload);
        println!("try {} of {picture}", delivery.attempt);
        match &*picture {
            // It may pass: tried again after a pause.
            "cat.jpg" if delivery.attempt < 3 => Err(HandlerError::transient("the disk is busy")),
            // It never will: no second try.
            "notes.txt" => Err(HandlerError::permanent("not a picture")),
            "last.jpg" => {
                self.finished.notify_one();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
// endregion: handler

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (bus, shutdown) = (MemoryBus::new(), CancellationToken::new());
    let resizer = Arc::new(Resizer {
        finished: Notify::new(),
    });
    // Subscribed before the first message: a bus in memory keeps nothing for those who come later.
    let jobs = Destination::Queue("resize".to_owned());
    let worker = tokio::spawn(bus.subscribe(&jobs, resizer.clone(), shutdown.clone()));

    for picture in ["dog.jpg", "cat.jpg", "notes.txt", "last.jpg"] {
        bus.publish(&jobs, Message::new(picture)).await?;
        println!("queued {picture}");
    }

    resizer.finished.notified().await;
    shutdown.cancel();
    worker.await?;
    println!("the worker has stopped; what it gave up is gone: memory has no dead-letter queue");
    Ok(())
}
