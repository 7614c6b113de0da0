//! The dead letters of queues in RabbitMQ: messages of `<queue>.dead`.
//!
//! AMQP 0-9-1 has no way to look at a message without taking it, and none to list queues. So a visit *takes* messages one by
//! one (`basic.get`, not acknowledged), settles some by an acknowledgement, and gives the rest back when its channel closes.
//! What that means:
//!
//! * While a visit lasts, another one does not see what it holds; it sees the rest.
//! * What is given back goes to the head of the queue, but not always in the order in which it was taken: while the broker
//!   still gives back for one visit, the next may begin. Looking changes which letters there are as little as elsewhere, and
//!   may change their order.
//! * The broker counts each return in the message's `x-delivery-count`. Nothing reads it here: `<queue>.dead` is declared without
//!   a delivery limit, so a message is never dropped for being looked at, and what is sent again is a new message.
//! * The visitor holds what it has passed and not settled: at most [`HELD_MAX`] messages. With more it is cut, and says so.
//! * The broker counts what is held as none of the queue's. So somebody who looks makes the count smaller meanwhile, and whoever
//!   watches the count believes a smaller one only when it lasts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};

use super::address::{self, Address};
use super::outlet::{Outlet, Refusal};
use super::publish::Sender;
use super::{topology, wire};
use crate::dead_letter;
use crate::dead_letters::{DeadLetter, DeadLetterStore, Position, Settled, Visit};
use crate::{DEAD_SUFFIX, MessagingError, names};

/// The most messages that a visit holds, unless [`AmqpDeadLetters::with_held_max`] says otherwise. Those behind them are
/// reached when these are settled.
pub const HELD_MAX: u64 = 10_000;
/// How long the broker may take to confirm a copy.
const COPY_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to close the channel, and to give back what was held.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The dead-letter queues of these queues.
#[derive(Debug, Clone)]
pub struct AmqpDeadLetters {
    address: Arc<Address>,
    places: Vec<String>,
    held_max: u64,
    /// The connection that letters are counted over; `None` if each count has one of its own.
    shared: Option<Arc<Sender>>,
}

impl AmqpDeadLetters {
    /// Those of these queues, by the queues' own names. A broker does not say which queues it has.
    ///
    /// # Errors
    /// [`MessagingError::Config`] for a URL that cannot be used, [`MessagingError::Name`] for a name that is not allowed.
    pub fn of<T: Into<String>>(
        url: &str,
        service: &str,
        queues: impl IntoIterator<Item = T>,
    ) -> Result<Self, MessagingError> {
        let mut places: Vec<_> = queues
            .into_iter()
            .map(|queue| names::dead(&queue.into()))
            .collect();
        places.sort();
        places.iter().try_for_each(|place| names::check(place))?;
        let address = Arc::new(Address::parse(url, service)?);
        Ok(Self {
            address,
            places,
            held_max: HELD_MAX,
            shared: None,
        })
    }

    /// The same with visits that hold at most so many messages.
    #[must_use]
    pub fn with_held_max(mut self, held_max: u64) -> Self {
        self.held_max = held_max;
        self
    }

    pub(super) fn at(address: &Arc<Address>, queues: &[String]) -> Self {
        let places = queues.iter().map(|queue| names::dead(queue));
        Self {
            address: Arc::clone(address),
            places: places.collect(),
            held_max: HELD_MAX,
            shared: None,
        }
    }

    /// The same for whoever counts again and again: over the connection that publishes, since to connect costs the broker far more
    /// than to count. While the broker blocks it, nobody counts, and nothing is parked either.
    pub(super) fn counted_over(mut self, sender: &Arc<Sender>) -> Self {
        self.shared = Some(Arc::clone(sender));
        self
    }

    /// The queues of these that are there, with their lengths.
    async fn lengths(&self, places: &[String]) -> Result<Vec<(String, u64)>, MessagingError> {
        let over = match &self.shared {
            Some(sender) => Over::Shared(Arc::clone(sender)),
            None => Over::Own(Box::new(self.address.connect("dead letters").await?)),
        };
        let mut lengths = Vec::new();
        for place in places {
            match length(&over.channel().await?, place).await {
                Ok(length) => lengths.push((place.clone(), length)),
                Err(MessagingError::Name(_)) => {}
                Err(error) => return Err(error),
            }
        }
        over.close().await;
        Ok(lengths)
    }
}

/// The connection that letters are counted over.
enum Over {
    Own(Box<Connection>),
    Shared(Arc<Sender>),
}

impl Over {
    async fn channel(&self) -> Result<Channel, MessagingError> {
        match self {
            Self::Own(connection) => channel(connection).await,
            Self::Shared(sender) => sender.channel().await,
        }
    }

    async fn close(self) {
        if let Self::Own(connection) = self {
            address::close(&connection).await;
        }
    }
}

fn unavailable(error: &lapin::Error) -> MessagingError {
    MessagingError::Unavailable(error.to_string())
}

async fn channel(connection: &Connection) -> Result<Channel, MessagingError> {
    let channel = connection.create_channel().await;
    channel.map_err(|error| unavailable(&error))
}

/// How many messages a queue has. It takes a fresh channel: a refusal closes it.
async fn length(channel: &Channel, queue: &str) -> Result<u64, MessagingError> {
    let look = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    let found = channel.queue_declare(queue.into(), look, FieldTable::default());
    let found = found
        .await
        .map_err(|error| topology::refused(&format!("the queue {queue}"), &error))?;
    // An error does no harm: the end of the connection closes the channel.
    let _closed = channel.close(200, "counted".into()).await;
    Ok(u64::from(found.message_count()))
}

#[async_trait]
impl DeadLetterStore for AmqpDeadLetters {
    async fn places(&self) -> Result<Vec<String>, MessagingError> {
        let there = self.lengths(&self.places).await?;
        Ok(there.into_iter().map(|(place, _)| place).collect())
    }

    async fn count(&self, place: &str) -> Result<u64, MessagingError> {
        let length = self.lengths(&[place.to_owned()]).await?.pop();
        length
            .map(|(_, length)| length)
            .ok_or_else(|| MessagingError::Name(format!("the queue {place} was not declared")))
    }

    fn hides_what_is_looked_at(&self) -> bool {
        true
    }

    async fn visit(&self, place: &str) -> Result<Box<dyn Visit>, MessagingError> {
        let Some(queue) = place.strip_suffix(DEAD_SUFFIX) else {
            return Err(MessagingError::Name(format!(
                "`{place}` is no dead-letter queue: its name does not end with {DEAD_SUFFIX}"
            )));
        };
        let connection = self.address.connect("dead letters").await?;
        let left = length(&channel(&connection).await?, place).await?;
        Ok(Box::new(AmqpVisit {
            channel: channel(&connection).await?,
            copies: Outlet::open(&connection).await?,
            connection,
            place: place.to_owned(),
            queue: queue.to_owned(),
            left,
            held: 0,
            held_max: self.held_max,
        }))
    }
}

struct AmqpVisit {
    connection: Connection,
    channel: Channel,
    copies: Outlet,
    place: String,
    /// Where its messages are sent again.
    queue: String,
    /// Messages that were there at the beginning and are not taken yet. What comes meanwhile is behind them.
    left: u64,
    /// Messages that are taken and not settled.
    held: u64,
    held_max: u64,
}

impl AmqpVisit {
    async fn acknowledge(&mut self, tag: u64) -> Result<Settled, MessagingError> {
        self.channel
            .basic_ack(tag, BasicAckOptions::default())
            .await
            .map_err(|error| unavailable(&error))?;
        self.held = self.held.saturating_sub(1);
        Ok(Settled::Done)
    }
}

#[async_trait]
impl Visit for AmqpVisit {
    async fn next(&mut self) -> Result<Option<DeadLetter>, MessagingError> {
        if self.left == 0 || self.is_cut() {
            return Ok(None);
        }
        self.left -= 1;
        let get = self
            .channel
            .basic_get(self.place.as_str().into(), BasicGetOptions::default());
        let got = get.await.map_err(|error| unavailable(&error))?;
        let Some(got) = got else {
            self.left = 0;
            return Ok(None);
        };
        self.held += 1;
        let got = got.delivery;
        let message = wire::received(&got.properties, got.data).message;
        let position = Position::Tag(got.delivery_tag);
        Ok(Some(DeadLetter::new(&self.place, position, message)))
    }

    fn is_cut(&self) -> bool {
        self.left > 0 && self.held >= self.held_max
    }

    /// The copy is confirmed before the letter is acknowledged: a kill between the two sends it twice and loses nothing.
    async fn redrive(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        let Position::Tag(tag) = letter.position else {
            return Ok(Settled::Gone);
        };
        let again = dead_letter::redriven(&letter.message);
        let properties = wire::properties(&again, 0);
        let sent = self
            .copies
            .send("", &self.queue, properties, &again.payload, COPY_DEADLINE);
        sent.await.map_err(|refusal| match refusal {
            Refusal::Unroutable => {
                MessagingError::Name(format!("the queue {} does not exist", self.queue))
            }
            Refusal::Nack => MessagingError::Unavailable(format!(
                "the queue {} does not take messages now",
                self.queue
            )),
            Refusal::Lost(reason) => MessagingError::Unavailable(reason),
        })?;
        self.acknowledge(tag).await
    }

    async fn discard(&mut self, letter: &DeadLetter) -> Result<Settled, MessagingError> {
        match letter.position {
            Position::Tag(tag) => self.acknowledge(tag).await,
            Position::Record { .. } | Position::Row(_) => Ok(Settled::Gone),
        }
    }

    async fn leave(self: Box<Self>) {
        // The channel first: its acknowledgements are on the way, and a connection that ends overtakes them.
        let closed = self.channel.close(200, "goodbye".into());
        let _gone = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
        address::close(&self.connection).await;
    }
}
