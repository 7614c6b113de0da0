//! Reads a topic from its beginning to where it ends now, without a group.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::Metadata;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::config::{KafkaConfig, Protocol};
use super::logging::Logging;
use super::record::to_message;
use super::settled::{Extent, Settled};
use crate::dead_letters::{COPY_OF, SETTLES};
use crate::{Message, MessagingError};

/// How often the cluster is asked for its topics, and how long for each time. The client hears that its account is refused
/// only in between.
const TRIES: u32 = 5;
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// The most events that are heard at a time: a client that is refused has one for each attempt to connect.
const EVENTS_MAX: usize = 100;
/// How long any other answer of the cluster may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a topic may deliver nothing until reading it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

pub(super) type Client = BaseConsumer<Logging>;

impl ConsumerContext for Logging {}

/// Makes clients that read: one for each walk, since each has an assignment of its own.
pub(super) struct Looker(ClientConfig);

impl Looker {
    pub(super) fn new(config: &KafkaConfig, group: &str) -> Result<Self, MessagingError> {
        // librdkafka wants a name to be assigned anything. It never joins that group.
        let mut settings = config.consumer(group, Protocol::Classic);
        settings
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        // Refused here, and not at the first use.
        let looker = Self(settings);
        looker.client().map(drop)?;
        Ok(looker)
    }

    pub(super) fn client(&self) -> Result<Client, MessagingError> {
        self.0
            .create_with_context(Logging::default())
            .map_err(|error| MessagingError::Config(error.to_string()))
    }
}

/// Whether the one who asked has gone. What blocks a thread looks for it now and then: a process ends only when the last of
/// these threads has.
pub(super) type Gone<'a> = &'a dyn Fn() -> bool;

fn unavailable(error: &KafkaError) -> MessagingError {
    MessagingError::Unavailable(no_answer(error))
}

fn no_answer(error: &KafkaError) -> String {
    format!("Kafka does not answer: {error}")
}

/// Asks for this topic, or for all that the account may see. An account that is refused is not asked for again: librdkafka
/// itself would go on for ever.
pub(super) fn metadata(
    client: &Client,
    topic: Option<&str>,
    gone: Gone<'_>,
) -> Result<Metadata, MessagingError> {
    let refusal = &client.context().refusal;
    let mut tries = 0;
    loop {
        let error = match client.fetch_metadata(topic, TRY_TIMEOUT) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        listen(client);
        tries += 1;
        if tries == TRIES || refusal.is_there() || gone() {
            let why = refusal.explain(no_answer(&error));
            return Err(MessagingError::Unavailable(why));
        }
    }
}

/// Has the client call back what it has to say.
fn listen(client: &Client) {
    for _ in 0..EVENTS_MAX {
        if client.poll(POLL).is_none() {
            return;
        }
    }
}

/// What is in the topic now.
pub(super) fn extent(
    client: &Client,
    topic: &str,
    gone: Gone<'_>,
) -> Result<Extent, MessagingError> {
    let metadata = metadata(client, Some(topic), gone)?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    let Some(found) = found.filter(|topic| topic.error().is_none()) else {
        return Err(MessagingError::Name(format!(
            "there is no topic {topic}, or the account may not read it"
        )));
    };
    found
        .partitions()
        .iter()
        .map(|partition| {
            let (low, high) = client
                .fetch_watermarks(topic, partition.id(), ANSWER_TIMEOUT)
                .map_err(|error| unavailable(&error))?;
            Ok((partition.id(), low, high))
        })
        .collect()
}

/// How many letters there are that no settlement names.
pub(super) fn unsettled(
    client: &Client,
    topic: &str,
    extent: &Extent,
    gone: Gone<'_>,
) -> Result<u64, MessagingError> {
    let mut settled = Settled::none_of(topic, extent)?;
    let mut letters = 0_u64;
    read(client, topic, extent, gone, |record| {
        match kind(&to_message(record)) {
            Kind::Settlement((partition, offset)) => settled.insert(partition, offset),
            Kind::Letter => letters += 1,
            Kind::Copy => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(letters.saturating_sub(settled.count()))
}

/// Tells all letters that no settlement names, partition by partition in their order. The topic is read twice: a
/// settlement stands behind its letter, and to keep all letters until then would take unbounded memory.
pub(super) fn letters(
    looker: &Looker,
    topic: &str,
    tell: &mpsc::Sender<Result<(i32, i64, Message), MessagingError>>,
) -> Result<(), MessagingError> {
    let client = looker.client()?;
    let gone: Gone<'_> = &|| tell.is_closed();
    let extent = extent(&client, topic, gone)?;
    let mut settled = Settled::none_of(topic, &extent)?;
    read(&client, topic, &extent, gone, |record| {
        if let Kind::Settlement((partition, offset)) = kind(&to_message(record)) {
            settled.insert(partition, offset);
        }
        ControlFlow::Continue(())
    })?;
    read(&client, topic, &extent, gone, |record| {
        let message = to_message(record);
        let at = (record.partition(), record.offset());
        if kind(&message) != Kind::Letter || settled.contains(at.0, at.1) {
            return ControlFlow::Continue(());
        }
        match tell.blocking_send(Ok((at.0, at.1, message))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_nobody_listens) => ControlFlow::Break(()),
        }
    })
}

/// What a record in a dead-letter topic is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    /// Of the letter at this partition and offset.
    Settlement((i32, i64)),
    /// The letter is kept elsewhere.
    Copy,
}

fn kind(message: &Message) -> Kind {
    if message.header(COPY_OF).is_some() {
        return Kind::Copy;
    }
    let settles = message.header(SETTLES).and_then(|at| at.split_once('/'));
    let at = settles
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)));
    at.map_or(Kind::Letter, Kind::Settlement)
}

/// Makes the client read these partitions, each from its lowest offset.
fn start(client: &Client, topic: &str, partitions: &[&(i32, i64, i64)]) -> Result<(), KafkaError> {
    let mut from = TopicPartitionList::new();
    for (partition, low, _) in partitions {
        from.add_partition_offset(topic, *partition, Offset::Offset(*low))?;
    }
    client.assign(&from)
}

/// Calls `each` for every record of the extent, until it breaks.
fn read(
    client: &Client,
    topic: &str,
    extent: &Extent,
    gone: Gone<'_>,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
) -> Result<(), MessagingError> {
    let mut open: Vec<_> = extent.iter().filter(|(_, low, high)| low < high).collect();
    start(client, topic, &open).map_err(|error| unavailable(&error))?;
    let mut heard = Instant::now();
    while !open.is_empty() {
        if gone() {
            return Err(MessagingError::Unavailable(format!(
                "nobody waits for topic {topic} any more"
            )));
        }
        match client.poll(POLL) {
            Some(Ok(record)) => {
                let Some(at) = open.iter().position(|(id, ..)| *id == record.partition()) else {
                    continue;
                };
                let (.., high) = open[at];
                if record.offset() < *high && each(&record).is_break() {
                    return Ok(());
                }
                if record.offset() + 1 >= *high {
                    open.swap_remove(at);
                }
                heard = Instant::now();
            }
            // The last offsets of a partition may hold no record.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.retain(|(id, ..)| *id != partition);
            }
            // librdkafka goes on by itself, or is silent.
            Some(Err(_)) | None if heard.elapsed() < SILENCE_MAX => {}
            Some(Err(error)) => return Err(unavailable(&error)),
            None => {
                return Err(MessagingError::Unavailable(format!(
                    "topic {topic}: nothing came for {} s",
                    SILENCE_MAX.as_secs()
                )));
            }
        }
    }
    Ok(())
}
