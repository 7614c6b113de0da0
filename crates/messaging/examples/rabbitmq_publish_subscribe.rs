//! Publish and subscribe over RabbitMQ: each subscriber gets its own copy, also one that was away.
//!
//! ```sh
//! docker run --rm -p 127.0.0.1:5672:5672 rabbitmq:4
//! cargo run -p messaging --example rabbitmq_publish_subscribe
//! ```
#![allow(clippy::print_stdout, reason = "it prints what a learner should see")]
#![allow(clippy::print_stderr, reason = "without a broker it says what to do")]

use std::process::ExitCode;
use std::sync::Arc;

use messaging::amqp::AmqpQueue;
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Publisher, Queue, Status,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LOCAL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
const EXCHANGE: &str = "example.upload";
const SUBSCRIBERS: [&str; 2] = ["example.upload.search", "example.upload.thumbnails"];

struct Subscriber(mpsc::UnboundedSender<()>);

#[async_trait::async_trait]
impl Handler for Subscriber {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let picture = String::from_utf8_lossy(&delivery.message.payload);
        println!("{} got {picture}", delivery.source);
        let _main_has_ended = self.0.send(());
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
    // region: bind
    for subscriber in SUBSCRIBERS {
        queue.declare(subscriber).await?;
        queue.bind(EXCHANGE, subscriber).await?;
    }
    // endregion: bind
    let (shutdown, (told, mut got)) = (CancellationToken::new(), mpsc::unbounded_channel());
    let subscribe = |name: &'static str| {
        let (queue, handler) = (queue.clone(), Arc::new(Subscriber(told.clone())));
        let (options, status, stop) = (
            ConsumeOptions::default(),
            Status::ignore(),
            shutdown.clone(),
        );
        tokio::spawn(async move { queue.consume(name, options, handler, status, stop).await })
    };

    // region: publish
    let search = subscribe(SUBSCRIBERS[0]);
    let uploads = Destination::Exchange(EXCHANGE.to_owned());
    for picture in ["dog.jpg", "cat.jpg"] {
        // One call, however many listen: the publisher knows none of them.
        queue.publish(&uploads, Message::new(picture)).await?;
        got.recv().await;
    }
    println!("the other subscriber was away until now");
    let thumbnails = subscribe(SUBSCRIBERS[1]);
    // endregion: publish
    for _ in 0..2 {
        got.recv().await;
    }

    shutdown.cancel();
    search.await??;
    thumbnails.await??;
    println!("2 messages, 2 subscribers: 4 copies");
    Ok(())
}
