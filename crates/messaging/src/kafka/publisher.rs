//! Publishes to topics and waits for the broker's acknowledgement of each message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::RwLock;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::sync::Semaphore;

use super::SYSTEM;
use super::authority::Authority;
use super::config::{KafkaConfig, MESSAGE_MAX_BYTES, QUEUE_MESSAGES, Resends};
use super::ending::EndsElsewhere;
use super::logging::Logging;
use super::refusal::Refusal;
use crate::observe::Sent;
use crate::position::Position;
use crate::{Destination, Message, MessagingError, PublishError, Publisher};

/// How long to wait before trying again when librdkafka's own size limit is reached: it does not notify.
const FULL_RETRY: Duration = Duration::from_millis(5);

type Producer = EndsElsewhere<FutureProducer<Logging>>;

/// Publishes to topics with `acks=all` and idempotence: the answer means that all in-sync replicas
/// have the message, once.
///
/// Dropping the future of a `publish` does not take the message back.
pub struct KafkaPublisher {
    settings: ClientConfig,
    // Replaced after a fatal error, which an idempotent producer does not survive: the broker and
    // it disagree about what was written. See "Fatal errors" in librdkafka's INTRODUCTION.md.
    producer: RwLock<Arc<Producer>>,
    authority: Option<Authority>,
    refusal: Refusal,
    room: Semaphore,
    sent: Sent,
}

impl std::fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("room", &self.room.available_permits())
            .finish_non_exhaustive()
    }
}

impl KafkaPublisher {
    /// Starts the client. It connects in the background; a broker that is away is not an error.
    ///
    /// # Errors
    /// [`MessagingError::Config`] when librdkafka refuses a setting.
    pub fn new(config: &KafkaConfig) -> Result<Self, MessagingError> {
        Self::with(config, Resends::Recognised, MESSAGE_MAX_BYTES)
    }

    pub(super) fn with(
        config: &KafkaConfig,
        resends: Resends,
        max_bytes: usize,
    ) -> Result<Self, MessagingError> {
        let settings = config.producer(resends, max_bytes);
        let authority = config.authority.clone().map(Authority::at);
        let refusal = Refusal::default();
        let producer = create(&settings, &refusal)?;
        Ok(Self {
            settings,
            refusal,
            authority,
            producer: RwLock::new(Arc::new(producer)),
            room: Semaphore::new(QUEUE_MESSAGES),
            sent: Sent::new(SYSTEM),
        })
    }

    fn current(&self) -> Arc<Producer> {
        Arc::clone(&self.producer.read())
    }

    /// Whether a message may have failed because the producer does not know the brokers' new authority.
    async fn authority_was_renewed(&self) -> bool {
        match &self.authority {
            Some(authority) => authority.was_renewed().await,
            None => false,
        }
    }

    /// Puts a new producer in the place of `failed`, unless another caller has done it already; returns whether it did.
    fn replace(&self, failed: &Arc<Producer>) -> bool {
        let mut current = self.producer.write();
        if !Arc::ptr_eq(&current, failed) {
            return false;
        }
        match create(&self.settings, &self.refusal) {
            Ok(producer) => *current = Arc::new(producer),
            Err(error) => {
                tracing::error!(%error, "the Kafka producer cannot be replaced");
                return false;
            }
        }
        true
    }
}

fn create(settings: &ClientConfig, refusal: &Refusal) -> Result<Producer, MessagingError> {
    let refusal = refusal.clone();
    settings
        .create_with_context(Logging {
            refusal,
            ..Logging::default()
        })
        .map(Producer::new)
        .map_err(|error| MessagingError::Config(error.to_string()))
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        match to {
            Destination::Topic(topic) => self.send(topic, &message).await.map(drop),
            _ => Err(PublishError::Rejected(format!(
                "{to}: Kafka has topics only"
            ))),
        }
    }

    fn system(&self, _to: &Destination) -> &'static str {
        SYSTEM
    }
}

impl KafkaPublisher {
    /// [`Publisher::publish`] that returns where the message is.
    ///
    /// # Errors
    /// As for [`Publisher::publish`].
    pub async fn send(&self, topic: &str, message: &Message) -> Result<Position, PublishError> {
        self.send_to(topic, None, message).await
    }

    /// [`KafkaPublisher::send`] to this partition, whatever the key.
    pub(super) async fn send_to(
        &self,
        topic: &str,
        partition: Option<i32>,
        message: &Message,
    ) -> Result<Position, PublishError> {
        let begun = Instant::now();
        let answer = self.send_in_turn(topic, partition, message).await;
        self.sent
            .note(topic, answer.as_ref().err(), begun.elapsed());
        answer
    }

    async fn send_in_turn(
        &self,
        topic: &str,
        partition: Option<i32>,
        message: &Message,
    ) -> Result<Position, PublishError> {
        let _place = self
            .room
            .acquire()
            .await
            .map_err(|e| PublishError::Unavailable(e.to_string()))?;
        let producer = self.current();
        match send(&producer, topic, partition, message).await {
            Ok(position) => {
                self.refusal.lifted();
                Ok(position)
            }
            Err(error) => {
                if let Some((_, reason)) = producer.client().fatal_error() {
                    // All that were on their way fail by it, and one of them replaces it.
                    if self.replace(&producer) {
                        tracing::warn!(
                            reason,
                            "the Kafka producer failed for good and is replaced"
                        );
                    }
                } else if self.authority_was_renewed().await {
                    tracing::info!(
                        "the certificate of the brokers' authority has changed; the Kafka producer is replaced"
                    );
                    self.replace(&producer);
                }
                Err(match classify(topic, &error) {
                    PublishError::Unavailable(why) => {
                        PublishError::Unavailable(self.refusal.explain(why))
                    }
                    rejected => rejected,
                })
            }
        }
    }
}

async fn send(
    producer: &FutureProducer<Logging>,
    topic: &str,
    partition: Option<i32>,
    message: &Message,
) -> Result<Position, KafkaError> {
    let mut record = FutureRecord::<str, [u8]>::to(topic).payload(&message.payload);
    if let Some(partition) = partition {
        record = record.partition(partition);
    }
    if let Some(key) = &message.key {
        record = record.key(key);
    }
    let headers = message.headers.iter().fold(
        OwnedHeaders::new_with_capacity(message.headers.len()),
        |headers, (name, value)| {
            headers.insert(Header {
                key: name,
                value: Some(value),
            })
        },
    );
    let mut record = record.headers(headers);
    let delivery = loop {
        match producer.send_result(record) {
            Ok(delivery) => break delivery,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                record = returned;
                tokio::time::sleep(FULL_RETRY).await;
            }
            Err((error, _)) => return Err(error),
        }
    };
    match delivery.await {
        Ok(Ok(delivery)) => Ok(Position {
            partition: delivery.partition,
            offset: delivery.offset,
        }),
        Ok(Err((error, _message))) => Err(error),
        Err(_dropped) => Err(KafkaError::Canceled),
    }
}

/// Rejected is what a retry cannot change. Missing rights are not among it: an operator grants them, and the message
/// must not be lost until then.
fn classify(topic: &str, error: &KafkaError) -> PublishError {
    use RDKafkaErrorCode as Code;
    let detail = format!("topic {topic}: {error}");
    if matches!(error, KafkaError::Nul(_)) {
        return PublishError::Rejected(detail);
    }
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
            PublishError::TooLarge(detail)
        }
        Some(
            Code::InvalidTopic
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidRecord
            | Code::InvalidArgument
            | Code::PolicyViolation,
        ) => PublishError::Rejected(detail),
        _ => PublishError::Unavailable(detail),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::kafka::{Account, Mechanism};

    /// How long a client may take to connect, which it does at once, or a second later.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// Its key is nowhere.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBmTCCAT+gAwIBAgIUepvmSQhGAqxvZphA0N8Gm9Z2CpwwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IG9mIG5vYm9keTAgFw0yNjExMzAwMTA3
MDlaGA8yMTI2MTEwNjAxMDcwOVowITEfMB0GA1UEAwwWYW4gYXV0aG9yaXR5IG9m
IG5vYm9keTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJHZd8Hi3f+PCbJoXzXE
6rx5Yfu8bTnwCQi6zUZFNoATR80EVcjiGbRnVWWb6o81Kw13T+WJFIY7u/h2MNFe
9eOjUzBRMB0GA1UdDgQWBBTkg63J98kiMJLes7ug/sId+cDk4DAfBgNVHSMEGDAW
gBTkg63J98kiMJLes7ug/sId+cDk4DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0gAMEUCIQCVHPdHaCb54Jsx0iEXgEqd7DfuF4GaUDHYgfTbRJVqRAIgJDD1
IMIXELlaCIUH/5Edw8P8i2FGl9d4qkeyJvvfcbk=
-----END CERTIFICATE-----
";

    /// In a build without OpenSSL there is no client; in one with it what it says first is a handshake of TLS.
    #[tokio::test]
    async fn a_client_of_brokers_with_tls_speaks_it_or_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        std::fs::write(&file, AUTHORITY).unwrap();
        let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = broker.local_addr().unwrap().to_string();
        let account = Account::new("me", "hunter2").by(Mechanism::ScramSha512);
        let config = KafkaConfig {
            authority: Some(file),
            ..KafkaConfig::new(address, "test").with_account(Some(account))
        };
        let publisher = KafkaPublisher::new(&config);
        let has_tls = cfg!(feature = "kafka-tls");
        assert_eq!(publisher.is_ok(), has_tls, "{publisher:?}");
        if has_tls {
            let accepted = tokio::time::timeout(PATIENCE, broker.accept()).await;
            let (mut client, _) = accepted.expect("a client that connects").unwrap();
            // The type of the first record; a request in clear begins with its length, of which the first byte is 0.
            assert_eq!(client.read_u8().await.unwrap(), 22);
        }
    }

    /// Without TLS, which not every build has: to the publisher the file is a file.
    #[tokio::test]
    async fn a_renewed_authority_means_a_new_producer_when_a_message_has_failed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        std::fs::write(&file, "old").unwrap();
        let away = KafkaConfig::new("127.0.0.1:1", "test").with_setting("message.timeout.ms", "50");
        let mut publisher = KafkaPublisher::new(&away).unwrap();
        publisher.authority = Some(Authority::at(file.clone()));
        let first = publisher.current();
        assert!(!publisher.authority_was_renewed().await);
        std::fs::write(&file, "new").unwrap();
        let message = Message::new("x");
        publisher.send("facts", &message).await.unwrap_err();
        assert!(!Arc::ptr_eq(&publisher.current(), &first));
    }
}
