//! Point to point over RabbitMQ: two workers share a queue, and each job is done by one of them.
//!
//! ```sh
//! docker run --rm -p 127.0.0.1:5672:5672 rabbitmq:4
//! cargo run -p messaging --example rabbitmq_point_to_point
//! ```
#![allow(clippy::print_stdout, reason = "it prints what a learner should see")]
#![allow(clippy::print_stderr, reason = "without a broker it says what to do")]

use std::process::ExitCode;
use std::sync::Arc;

use messaging::amqp::AmqpQueue;
use messaging::{
    ConsumeOptions, DEAD_SUFFIX, Delivery, Destination, Handler, HandlerError, Message, Publisher,
    Queue, Status, dead_letter,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
const QUEUE: &str = "example.resize";

/// A worker, or the reader of the dead letters: both tell `main` what they did.
struct Worker {
    name: &'static str,
    told: mpsc::UnboundedSender<String>,
}

#[async_trait::async_trait]
impl Handler for Worker {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let picture = String::from_utf8_lossy(&delivery.message.payload);
        match delivery.header(dead_letter::REASON) {
            // A message of the dead-letter queue says why it is there.
            Some(reason) => println!("{}: {picture} is here because: {reason}", self.name),
            None if picture == "notes.txt" => return Err(HandlerError::permanent("not a picture")),
            None if picture == "3.jpg" && delivery.attempt == 1 => {
                println!("{}: {picture} comes again, others pass it", self.name);
                return Err(HandlerError::transient("the disk is busy"));
            }
            None => println!("{}: {picture}, try {}", self.name, delivery.attempt),
        }
        let _main_has_ended = self.told.send(picture.into_owned());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| LOCAL.to_owned());
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "{error}: start one with `docker run --rm -p 127.0.0.1:5672:5672 rabbitmq:4`, or set AMQP_URL"
            );
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let queue = AmqpQueue::new(url, "example")?;
    queue.declare(QUEUE).await?;
    let (shutdown, (told, mut done)) = (CancellationToken::new(), mpsc::unbounded_channel());
    let consume = |name, from: &str| {
        let (queue, from, shutdown) = (queue.clone(), from.to_owned(), shutdown.clone());
        let told = told.clone();
        tokio::spawn(async move {
            let (options, worker) = (ConsumeOptions::default(), Worker { name, told });
            let status = Status::ignore();
            queue
                .consume(&from, options, Arc::new(worker), status, shutdown)
                .await
        })
    };

    // region: run
    let workers = [consume("worker A", QUEUE), consume("worker B", QUEUE)];
    let jobs = Destination::Queue(QUEUE.to_owned());
    for picture in ["1.jpg", "2.jpg", "3.jpg", "notes.txt", "4.jpg"] {
        // Returns when the broker has stored it: from here on the job cannot be lost.
        queue.publish(&jobs, Message::new(picture)).await?;
    }
    // endregion: run
    for _ in 0..4 {
        done.recv().await;
    }
    let dead = consume("dead letters", &format!("{QUEUE}{DEAD_SUFFIX}"));
    done.recv().await;

    shutdown.cancel();
    for consumer in workers.into_iter().chain([dead]) {
        consumer.await??;
    }
    println!("4 pictures, each by one worker; 1 dead letter with its reason");
    Ok(())
}
