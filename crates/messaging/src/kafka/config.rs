//! What librdkafka is told, and why.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::{Queue, Status};

/// The longest message in bytes, key and headers included. librdkafka's own default, and just under
/// a broker's default of 1 MiB.
pub const MESSAGE_MAX_BYTES: usize = 1_000_000;

/// Room for the headers that a dead letter carries on top, still under the broker's default.
pub(super) const DEAD_LETTER_EXTRA_BYTES: usize = 32_768;

/// The longest pause before a lost broker is dialled again. librdkafka's 10 s would be most of the
/// time that a restart of a broker takes.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// How long a message waits for others of its partition, so that they share a request.
const LINGER: Duration = Duration::from_millis(1);
/// How long the broker may take, resends and reconnects included, before a message is
/// [`Unavailable`](crate::PublishError::Unavailable). Longer than the restart of a broker that has a replica.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a topic that the cluster does not know may take to appear before a message for it is
/// [`Rejected`](crate::PublishError::Rejected). Brokers that create topics on demand need a moment.
const UNKNOWN_TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages on their way at the same time; a caller beyond that waits for its turn.
pub(super) const QUEUE_MESSAGES: usize = 10_000;
/// The same limit for their size, in KiB.
const QUEUE_KBYTES: usize = 32 * 1024;
/// How often stored offsets are committed. After a crash at most the messages of this time come
/// again.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Messages of one partition that are fetched ahead, at most (and one fetch on top).
const PREFETCH_MESSAGES: usize = 2_000;
/// The same limit for their size, in KiB.
const PREFETCH_KBYTES: usize = 1024;

/// How the members of a group share the partitions. In both, only partitions that move are interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// KIP-848, from Apache Kafka 4 on: the broker assigns.
    Consumer,
    /// What all brokers know: a member assigns for all of them, here with the cooperative assignor.
    Classic,
}

/// What becomes of a record that is sent again because its acknowledgement was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resends {
    /// The broker recognises it; it is neither doubled nor put out of order. A new client asks for a producer id before its first
    /// record, and librdkafka asks in steps of 500 ms: that record is up to a second late.
    Recognised,
    /// The record may be there twice, and the first one is sent at once.
    MayDouble,
}

const GROUP_PROTOCOL: &str = "group.protocol";
const OFFSET_RESET: &str = "auto.offset.reset";

/// How an account proves that it knows its password.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// It says it. The password goes over the wire as it is, so the network must be private, or something must encrypt it:
    /// TLS or a mesh.
    #[default]
    Plain,
    /// It answers a question that only who knows it can answer. Needs the feature `kafka-tls`: librdkafka has it from
    /// OpenSSL.
    ScramSha512,
}

impl Mechanism {
    /// The name that Kafka has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// An account at the brokers, by SASL.
#[derive(Clone)]
pub struct Account {
    username: String,
    password: String,
    mechanism: Mechanism,
}

impl Account {
    /// The account of this name, by [`Mechanism::Plain`].
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            mechanism: Mechanism::default(),
        }
    }

    /// The same, proven in this way.
    #[must_use]
    pub fn by(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = mechanism;
        self
    }
}

/// Without the password.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.username).finish()
    }
}

/// Where the cluster is and how this process introduces itself.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// How long the broker may hold a fetch that has nothing to answer. Long saves requests; a
    /// broker that does not answer early when a record arrives (librdkafka's mock) wants it short.
    pub fetch_wait: Duration,
    /// Shown in the broker's logs and metrics.
    pub client_id: String,
    /// Who this process is to the brokers, if they ask.
    pub account: Option<Account>,
    /// The certificate of the authority that the brokers' certificates come from. If set, the connections are TLS, and the
    /// brokers' names are checked. Needs the feature `kafka-tls`.
    pub authority: Option<PathBuf>,
    /// Any further settings of librdkafka, applied last: security, or what a cluster needs. `group.protocol=classic` for
    /// brokers before Apache Kafka 4 saves the attempt with the newer protocol at each start.
    pub settings: Vec<(String, String)>,
}

impl KafkaConfig {
    /// The defaults for everything else.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            fetch_wait: Duration::from_millis(500),
            client_id: client_id.into(),
            account: None,
            authority: None,
            settings: Vec::new(),
        }
    }

    /// The same with an account.
    #[must_use]
    pub fn with_account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// The same with one more setting of librdkafka.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    pub(super) fn producer(&self, resends: Resends, max_bytes: usize) -> ClientConfig {
        let mut config = self.common();
        let is_idempotent = resends == Resends::Recognised;
        config
            // The broker answers once all in-sync replicas have the record.
            .set("acks", "all")
            .set("enable.idempotence", is_idempotent.to_string())
            .set("linger.ms", millis(LINGER))
            .set("message.timeout.ms", millis(DELIVERY_TIMEOUT))
            .set(
                "topic.metadata.propagation.max.ms",
                millis(UNKNOWN_TOPIC_TIMEOUT),
            )
            .set("queue.buffering.max.messages", QUEUE_MESSAGES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KBYTES.to_string())
            .set("message.max.bytes", max_bytes.to_string())
            // The partitioner of the Java client: a key lands on the same partition whoever writes.
            .set("partitioner", "murmur2_random");
        self.applied_to(config)
    }

    pub(super) fn consumer(&self, group: &str, protocol: Protocol) -> ClientConfig {
        let mut config = self.common();
        match self.protocol().unwrap_or(protocol) {
            Protocol::Consumer => config.set(GROUP_PROTOCOL, "consumer"),
            Protocol::Classic => config
                .set(GROUP_PROTOCOL, "classic")
                .set("partition.assignment.strategy", "cooperative-sticky"),
        };
        config
            .set("group.id", group)
            .set(OFFSET_RESET, "earliest")
            // Stored by hand after the effect; what is stored is committed in the background, and
            // by librdkafka itself when a partition is given up.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", millis(COMMIT_INTERVAL))
            .set("fetch.wait.max.ms", millis(self.fetch_wait))
            .set("fetch.error.backoff.ms", "100")
            // The bounds of what is read ahead, for each partition; the defaults are 64 MB and a
            // second of rest once they are reached.
            .set("queued.min.messages", PREFETCH_MESSAGES.to_string())
            .set("queued.max.messages.kbytes", PREFETCH_KBYTES.to_string())
            .set("fetch.queue.backoff.ms", "20");
        self.applied_to(config)
    }

    /// The protocol that the settings name, if they do.
    fn protocol(&self) -> Option<Protocol> {
        let mut settings = self.settings.iter().rev();
        let (_, value) = settings.find(|(name, _)| name == GROUP_PROTOCOL)?;
        Some(match value.as_str() {
            "classic" => Protocol::Classic,
            _ => Protocol::Consumer,
        })
    }

    /// Whether a group that has no offsets yet reads a topic from its beginning, as it does unless a setting says otherwise.
    pub(super) fn reads_from_beginning(&self) -> bool {
        let mut names = self.settings.iter().map(|(name, _)| name);
        names.all(|name| name != OFFSET_RESET)
    }

    fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("reconnect.backoff.max.ms", millis(RECONNECT_MAX))
            .set("statistics.interval.ms", millis(super::requests::PERIOD));
        let protocol = match (&self.authority, &self.account) {
            (None, None) => "PLAINTEXT",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), None) => "SSL",
            (Some(_), Some(_)) => "SASL_SSL",
        };
        config.set("security.protocol", protocol);
        if let Some(authority) = &self.authority {
            config
                .set("ssl.ca.location", authority.to_string_lossy())
                .set("ssl.endpoint.identification.algorithm", "https");
        }
        if let Some(account) = &self.account {
            config
                .set("sasl.mechanisms", account.mechanism.as_str())
                .set("sasl.username", &account.username)
                .set("sasl.password", &account.password);
        }
        config
    }

    fn applied_to(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Where messages are parked that a group cannot handle.
#[derive(Clone, Default)]
pub enum ParkIn {
    /// In `<topic>.<group>.dlq`. They are taken again from `<topic>.<group>.retry`, if there is such a topic.
    #[default]
    Topic,
    /// In the dead-letter queue of `<topic>.<group>`, and taken again from that queue: for a cluster that forgets. A copy goes
    /// to `<topic>.<group>.dlq`, for whoever watches there.
    Queue(Arc<dyn Queue>),
}

impl fmt::Debug for ParkIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "Topic",
            Self::Queue(_) => "Queue",
        })
    }
}

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The consumer group: its members share the partitions, and each group gets every message.
    pub group: String,
    /// The topics. One that does not exist is waited for.
    pub topics: Vec<String>,
    /// The delay before a failed message is tried again in place; it doubles up to `backoff_cap`.
    pub backoff: Duration,
    /// The longest delay between two tries.
    pub backoff_cap: Duration,
    /// How long messages in hand may take to finish when a partition is given up or the consumer
    /// stops. A handler that is not done by then is dropped at its next `await`, and its message is
    /// delivered again, here or to the partition's next owner.
    pub drain: Duration,
    /// How long the cluster may give no answer, or the group have no place for a member that it has forgotten, until
    /// the client is replaced by a new one.
    pub replace_after: Duration,
    /// Where messages are parked that cannot be handled.
    pub park_in: ParkIn,
    /// Told of the group's dead letters: down while there are any, with how many.
    pub dead_letters: Status,
    /// Told of topics that the account may not read while it can work without them: a retry topic, or a topic that the brokers
    /// show it and do not let it read. Down while there are any.
    pub unread: Status,
}

impl ConsumerOptions {
    /// The defaults for everything else.
    pub fn new<T: Into<String>>(
        group: impl Into<String>,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            group: group.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            backoff: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(5),
            drain: Duration::from_millis(2500),
            replace_after: Duration::from_secs(15),
            park_in: ParkIn::default(),
            dead_letters: Status::ignore(),
            unread: Status::ignore(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secured_follows_from_authority_and_account() {
        let account = || Account::new("me", "hunter2").by(Mechanism::ScramSha512);
        for (authority, account, protocol) in [
            (None, None, "PLAINTEXT"),
            (None, Some(account()), "SASL_PLAINTEXT"),
            (Some("/ca.crt".into()), None, "SSL"),
            (Some("/ca.crt".into()), Some(account()), "SASL_SSL"),
        ] {
            let is_secured = authority.is_some();
            let config = KafkaConfig {
                authority,
                ..KafkaConfig::new("broker:9093", "me").with_account(account)
            };
            let common = config.common();
            assert_eq!(common.get("security.protocol"), Some(protocol));
            let location = is_secured.then_some("/ca.crt");
            assert_eq!(common.get("ssl.ca.location"), location);
        }
        let scram = KafkaConfig::new("broker:9093", "me").with_account(Some(account()));
        assert_eq!(scram.common().get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
    }
}
