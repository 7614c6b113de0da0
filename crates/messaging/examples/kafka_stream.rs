//! A stream: order for each key, and as many readers as there are groups, each from the beginning if it wants.
//!
//! ```sh
//! cargo run -p messaging --example kafka_stream
//! ```
//!
//! The Kafka is librdkafka's mock in this process: the real client speaks the real protocol to it.
#![allow(clippy::print_stdout, reason = "it prints what a learner should see")]

use std::sync::Arc;
use std::time::Duration;

use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::{
    Delivery, Destination, Handler, HandlerError, Message, MessagingError, Publisher, Status,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "measurements";

struct Reader(mpsc::UnboundedSender<String>);

#[async_trait::async_trait]
impl Handler for Reader {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let sensor = delivery.message.key.as_deref().unwrap_or_default();
        let value = String::from_utf8_lossy(&delivery.message.payload);
        let _main_has_ended = self.0.send(format!("{sensor} {value}"));
        Ok(())
    }
}

/// Reads `count` messages as a member of `group`, and leaves it.
async fn read(
    config: &KafkaConfig,
    group: &str,
    count: usize,
) -> Result<Vec<String>, MessagingError> {
    let (shutdown, (told, mut read)) = (CancellationToken::new(), mpsc::unbounded_channel());
    // region: consume
    let options = ConsumerOptions::new(group, [TOPIC]);
    let (handler, status) = (Arc::new(Reader(told)), Status::ignore());
    let member = consume(config, options, handler, status, shutdown.clone());
    // endregion: consume
    let enough = async {
        let mut lines = Vec::new();
        while lines.len() < count
            && let Some(line) = read.recv().await
        {
            lines.push(line);
        }
        shutdown.cancel();
        lines
    };
    let (left, lines) = tokio::join!(member, enough);
    left.map(|()| lines)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kafka = embedded::testing::kafka(&[(TOPIC, 4)]);
    let mut config = KafkaConfig::new(kafka.bootstrap_servers(), "example");
    // The mock answers a fetch only when its time is up.
    config.fetch_wait = Duration::from_millis(10);

    // region: publish
    let (publisher, topic) = (
        KafkaPublisher::new(&config)?,
        Destination::Topic(TOPIC.into()),
    );
    for value in ["20.1", "20.4", "21.0"] {
        for sensor in ["roof", "cellar", "yard"] {
            // The key chooses the partition, and a partition keeps its order.
            publisher
                .publish(&topic, Message::new(value).with_key(sensor))
                .await?;
        }
    }
    // endregion: publish

    let alarms = read(&config, "alarms", 9).await?;
    // Another group, later: what was read is still there.
    let archive = read(&config, "archive", 9).await?;
    for (group, lines) in [("alarms", &alarms), ("archive", &archive)] {
        for sensor in ["roof", "cellar", "yard"] {
            let of_sensor = lines.iter().filter_map(|line| line.strip_prefix(sensor));
            println!("{group}: {sensor}{}", of_sensor.collect::<String>());
        }
    }
    println!(
        "2 groups read {} messages each, in order for each key",
        alarms.len()
    );
    Ok(())
}
