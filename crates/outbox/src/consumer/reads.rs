//! The event types that a consumer reads, and their conversions.

use envelope::{EnvelopeError, EventData, RawEvent};
use messaging::{BoxError, Delivery};

use super::Failure;

/// The event in a message, its data not decoded yet: whoever sent it, and of whatever type.
///
/// # Errors
/// [`EnvelopeError`] names what is missing or bad.
pub fn event_in(delivery: &Delivery) -> Result<RawEvent, EnvelopeError> {
    let headers = delivery.message.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    // Queues carry the same prefix: what this outbox sends is the same on every transport.
    RawEvent::from_message(envelope::KAFKA_PREFIX, headers, &delivery.message.payload)
}

/// The types of events that a consumer reads, each with what it is to the consumer: a fact `F`.
///
/// Older versions of an event are read as the newest ([`EventData::versions`]), so a consumer names that one only. An event
/// is taken from the one source that owns its type ([`EventData::SOURCE`]) and parked if it comes from another. Other types
/// pass without effect: a topic may grow without its readers. But *another version* of a type that is read is parked, unless
/// the event is published in one that is read, too: to pass over it would be to miss what the consumer is there for.
pub struct Reads<F> {
    types: Vec<Type<F>>,
}

type Parse<F> = Box<dyn Fn(&RawEvent) -> Result<F, Failure> + Send + Sync>;

pub(super) struct Type<F> {
    /// One for each version.
    names: Vec<&'static str>,
    /// Whether the effect is the same however often it is made.
    pub(super) is_idempotent: bool,
    pub(super) parse: Parse<F>,
}

impl<F> Default for Reads<F> {
    fn default() -> Self {
        Self { types: Vec::new() }
    }
}

impl<F: 'static> Reads<F> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads events of type `T`.
    #[must_use]
    pub fn event<T: EventData>(self, fact: impl Fn(T) -> F + Send + Sync + 'static) -> Self {
        self.read(false, move |data| Ok(fact(data)))
    }

    /// Reads events of type `T` that can be against the rules, although they have the shape of their type. Such an event
    /// is parked with the error as its reason.
    #[must_use]
    pub fn try_event<T: EventData, E: Into<BoxError>>(
        self,
        fact: impl Fn(T) -> Result<F, E> + Send + Sync + 'static,
    ) -> Self {
        self.read(false, move |data| fact(data).map_err(Failure::permanent))
    }

    /// Reads events of type `T` whose effect is the same however often it is made (a row is set, not added to). They are
    /// not noted in the inbox, which costs a row for each event; [`EventHandler::apply`] gets repetitions, too.
    ///
    /// [`EventHandler::apply`]: super::EventHandler::apply
    #[must_use]
    pub fn idempotent_event<T: EventData>(
        self,
        fact: impl Fn(T) -> F + Send + Sync + 'static,
    ) -> Self {
        self.read(true, move |data| Ok(fact(data)))
    }

    /// The types that are read, each in all of its versions: to compare with what is documented.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.types
            .iter()
            .flat_map(|read| read.names.iter().copied())
    }

    fn read<T: EventData>(
        mut self,
        is_idempotent: bool,
        fact: impl Fn(T) -> Result<F, Failure> + Send + Sync + 'static,
    ) -> Self {
        let versions = T::versions();
        self.types.push(Type {
            names: versions.types(),
            is_idempotent,
            // It refuses what comes from a source that does not own the type.
            parse: Box::new(move |event| fact(versions.read(event)?)),
        });
        self
    }

    /// How to read this event, if it is read. A handful of types: a list is faster than a map.
    ///
    /// # Errors
    /// If it is a version that is not known of an event that is read.
    pub(super) fn find(&self, event: &RawEvent) -> Result<Option<&Type<F>>, EnvelopeError> {
        let name = event.event_type.as_str();
        let read = self.types.iter().find(|read| read.names.contains(&name));
        if read.is_some() {
            return Ok(read);
        }
        let mut unknown = self
            .types
            .iter()
            .filter_map(|read| event.unknown_version(&read.names));
        unknown.next().map_or(Ok(None), Err)
    }
}
