//! Publishing: one connection that is made when it is needed, and again when it was lost.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::{Channel, Connection};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::address::Address;
use super::blocked::{Alarms, Bell, Blocked};
use super::outlet::{Outlet, Refusal};
use super::{AmqpQueue, SYSTEM, topology, wire};
use crate::observe::Sent;
use crate::queue::{self, unroutable};
use crate::{Destination, Message, MessagingError, PublishError, Publisher};

/// The most messages that are not confirmed yet; beyond that a publisher waits.
pub const MAX_IN_FLIGHT: usize = 256;
/// How long the broker may take to confirm a message. Less than the outbox relay's own time limit, so that the relay
/// gets the reason.
pub const PUBLISH_DEADLINE: Duration = Duration::from_secs(4);
/// The pause after a failed connection attempt: callers in it get the same error at once, instead of each trying for
/// itself.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The publishing side of an [`AmqpQueue`].
pub(super) struct Sender {
    address: Arc<Address>,
    state: Mutex<State>,
    room: Semaphore,
    sent: Sent,
    /// Tells consumers of the queue what the broker says to the connection that publishes.
    alarms: Bell,
}

enum State {
    New,
    Live(Arc<Live>),
    Failed { at: Instant, reason: String },
}

/// The current connection; whether it still works shows when it is used.
struct Live {
    connection: Connection,
    outlet: Outlet,
    blocked: Blocked,
    // Exchanges that were declared over this connection.
    exchanges: parking_lot::Mutex<HashSet<String>>,
}

impl Live {
    async fn connect(address: &Address, alarms: &Bell) -> Result<Self, MessagingError> {
        let connection = address.connect("publisher").await?;
        alarms.send_replace(None);
        let blocked = Blocked::telling(&connection, Arc::clone(alarms));
        let outlet = Outlet::open(&connection).await?;
        Ok(Self {
            connection,
            outlet,
            blocked,
            exchanges: parking_lot::Mutex::default(),
        })
    }

    fn is_usable(&self) -> bool {
        self.connection.status().connected() && self.outlet.is_open()
    }

    async fn channel(&self) -> Result<Channel, MessagingError> {
        self.connection
            .create_channel()
            .await
            .map_err(|error| MessagingError::Unavailable(error.to_string()))
    }

    /// Declares an exchange, once for each connection.
    async fn exchange(&self, name: &str) -> Result<(), MessagingError> {
        let known = || self.exchanges.lock();
        if known().contains(name) {
            return Ok(());
        }
        topology::exchange(&self.channel().await?, name).await?;
        known().insert(name.to_owned());
        Ok(())
    }
}

impl Sender {
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self {
            address,
            state: Mutex::new(State::New),
            room: Semaphore::new(MAX_IN_FLIGHT),
            sent: Sent::new(SYSTEM),
            alarms: Bell::default(),
        }
    }

    /// Why the broker blocks what is published here.
    pub(super) fn alarms(&self) -> Alarms {
        self.alarms.subscribe()
    }

    /// A fresh channel to declare things with.
    pub(super) async fn channel(&self) -> Result<Channel, MessagingError> {
        self.live().await?.channel().await
    }

    async fn live(&self) -> Result<Arc<Live>, MessagingError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Live(live) if live.is_usable() => return Ok(Arc::clone(live)),
            State::Failed { at, reason } if at.elapsed() < CONNECT_PAUSE => {
                return Err(MessagingError::Unavailable(reason.clone()));
            }
            _ => {}
        }
        match Live::connect(&self.address, &self.alarms).await {
            Ok(live) => {
                let live = Arc::new(live);
                *state = State::Live(Arc::clone(&live));
                Ok(live)
            }
            Err(error) => {
                *state = State::Failed {
                    at: Instant::now(),
                    reason: error.to_string(),
                };
                Err(error)
            }
        }
    }

    /// Drops a connection that did not answer, unless it was already replaced.
    async fn forget(&self, dead: &Arc<Live>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Live(live) if Arc::ptr_eq(live, dead)) {
            *state = State::New;
        }
    }

    async fn send(&self, to: &Destination, message: &Message) -> Result<(), PublishError> {
        let unavailable =
            |reason: &dyn fmt::Display| PublishError::Unavailable(format!("{to}: {reason}"));
        let _room = self.room.acquire().await.map_err(|e| unavailable(&e))?;
        let live = self.live().await.map_err(|e| unavailable(&e))?;
        let free = live.blocked.passes(PUBLISH_DEADLINE);
        free.await.map_err(|reason| unavailable(&reason))?;
        let (exchange, routing_key) = match to {
            Destination::Exchange(name) => {
                live.exchange(name).await.map_err(|e| unavailable(&e))?;
                (name.as_str(), "")
            }
            // The default exchange: straight to the queue of that name.
            _ => ("", to.name()),
        };
        let properties = wire::stamped(message);
        let sent = live.outlet.send(
            exchange,
            routing_key,
            properties,
            &message.payload,
            PUBLISH_DEADLINE,
        );
        match sent.await {
            Ok(()) => Ok(()),
            Err(Refusal::Unroutable) => Err(unroutable(to)),
            Err(Refusal::Nack) => Err(unavailable(&"the queue does not take messages now")),
            // The alarm began after the message was sent: its answer comes when the alarm is over, and so would that of a copy. A new
            // connection would be blocked as well.
            Err(Refusal::Lost(reason)) => {
                if let Some(blocked) = live.blocked.reason()
                    && live.is_usable()
                {
                    return Err(unavailable(&blocked));
                }
                self.forget(&live).await;
                Err(unavailable(&reason))
            }
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Publisher for AmqpQueue {
    /// Queue: the message is there once, or the queue was never declared and it is rejected.
    ///
    /// Exchange: each bound queue has a copy. While no queue is bound the message is not accepted, and not lost:
    /// see [`PublishError::Unavailable`].
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let begun = Instant::now();
        let published = self.send(to, &message).await;
        self.sender
            .sent
            .note(to.name(), published.as_ref().err(), begun.elapsed());
        published
    }

    fn system(&self, _to: &Destination) -> &'static str {
        SYSTEM
    }
}

impl AmqpQueue {
    async fn send(&self, to: &Destination, message: &Message) -> Result<(), PublishError> {
        queue::check(to, message)?;
        wire::check(message).map_err(|reason| PublishError::TooLarge(format!("{to}: {reason}")))?;
        self.sender.send(to, message).await
    }
}
