//! An Apache Kafka broker.

use std::time::Duration;

use testcontainers::core::{ExecCommand, IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;

use crate::docker;

const KAFKA_PORT: u16 = 9092;
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The broker advertises where it is reached, and that is known only once its container runs. So the container
/// waits for its last setting.
const START: &str = "while [ ! -s /tmp/advertised ]; do sleep 0.05; done
export KAFKA_ADVERTISED_LISTENERS=$(cat /tmp/advertised)
exec /etc/kafka/docker/run";

/// One setting replaces the image's whole configuration, so here is all of it. A single broker, KRaft.
const SETTINGS: [(&str, &str); 17] = [
    ("KAFKA_NODE_ID", "1"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    (
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    ),
    ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
    ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
    ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "8"),
    ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    // A member learns with its next heartbeat that it gets a partition or gives one up. The default, 5 s, is the least that is
    // allowed by default.
    ("KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "500"),
    ("KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS", "500"),
    // As in production: a topic that nobody made is a mistake.
    ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
    // After a kill it registers again as soon as its old session has ended.
    ("KAFKA_BROKER_SESSION_TIMEOUT_MS", "2000"),
    // What a killed consumer had goes to another after 6 s, not 45 s: as in docker-compose.yml.
    ("KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS", "6000"),
    ("KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS", "6000"),
];

/// A broker without topics, which makes none by itself.
///
/// All methods panic when docker does not do what it is told: the test cannot go on.
pub struct Kafka {
    container: ContainerAsync<GenericImage>,
    address: String,
}

impl Kafka {
    /// The broker of this process, for tests that keep to names of their own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(Self::own).await
    }

    /// A broker for one test, on a port that it keeps when it is restarted.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn own() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, but it makes a topic with so many partitions when one that does not exist is written to: for programs that
    /// have no means of making topics.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn making_topics(partitions: u16) -> Self {
        let partitions = partitions.to_string();
        Self::start_with(&[
            ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true"),
            ("KAFKA_NUM_PARTITIONS", &partitions),
        ])
        .await
    }

    /// With settings that replace those of [`SETTINGS`].
    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let port = docker::free_port();
        let image = GenericImage::new("apache/kafka", "4.3.1")
            .with_entrypoint("bash")
            .with_cmd(["-c", START])
            .with_mapped_port(port, KAFKA_PORT.tcp())
            .with_env_var("KAFKA_BROKER_HEARTBEAT_INTERVAL_MS", "500")
            .with_startup_timeout(START_TIMEOUT);
        let image = SETTINGS
            .iter()
            .chain(settings)
            .fold(image, |image, (name, value)| {
                image.with_env_var(*name, *value)
            });
        let container = image.start().await.expect("Kafka's container starts");
        docker::keep(&container);
        let host = container.get_host().await.expect("docker's host");
        let address = format!("{host}:{port}");
        let advertise = format!("echo PLAINTEXT://{address} > /tmp/advertised");
        let ready =
            ExecCommand::new(["bash", "-c", &advertise]).with_container_ready_conditions(vec![
                WaitFor::message_on_stdout("Kafka Server started"),
            ]);
        container.exec(ready).await.expect("Kafka starts");
        Self { container, address }
    }

    /// `host:port`, as clients take it.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.address
    }

    /// Stops it, as `docker stop` does; what it holds stays.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&self) {
        self.container.stop().await.expect("Kafka stops");
    }

    /// Kills it: nothing is flushed, nobody is told; what it had on its disk stays.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill(&self) {
        let killed = self.container.stop_with_timeout(Some(0)).await;
        killed.expect("Kafka is killed");
    }

    /// Starts it again. It takes some seconds more until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) {
        self.container.start().await.expect("Kafka starts again");
    }
}
