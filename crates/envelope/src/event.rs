//! The typed event and how one leads to another.

mod versions;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::EnvelopeError;

pub use versions::Versions;

/// The payload of an event: what happened, in the past tense.
pub trait EventData: Serialize + DeserializeOwned + 'static {
    /// The event's type with its version, for example `agora.order.placed.v1`. A change that old readers
    /// cannot read is a new version, hence a new type.
    const TYPE: &'static str;

    /// The one service that publishes the type: the CloudEvents `source` of every such event, for example
    /// `/services/orders`. [`RawEvent::decode`] refuses any other.
    const SOURCE: &'static str;

    /// The id of the aggregate that it happened to; also the partition key, so that the events of one
    /// aggregate stay in order.
    fn subject(&self) -> String;

    /// The versions that can be read as this one: [`Versions::after`] the one before it, if there is one.
    #[must_use]
    fn versions() -> Versions<Self> {
        Versions::only()
    }
}

/// [W3C trace context](https://www.w3.org/TR/trace-context/) as text, carried and never interpreted here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: Option<String>,
    /// Vendors' own additions.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Whether there is no trace to continue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traceparent.is_none()
    }
}

/// One CloudEvents 1.0 event with data `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<T> {
    /// UUID v7: unique, and sortable by the time of creation. Consumers recognise a repetition by it.
    pub id: Uuid,
    /// The same for all versions in which one event is published ([`Event::with_twin`]): whoever takes an event once goes
    /// by this. The id, unless it is the twin of an older version; `logicalid` on the wire.
    pub logical_id: Uuid,
    /// The service that published it: a URI reference such as `/services/orders`.
    pub source: String,
    /// The type with its version; `type` on the wire.
    pub event_type: String,
    /// The id of the aggregate.
    pub subject: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The same for everything that one cause set in motion; `correlationid` on the wire.
    pub correlation_id: Uuid,
    /// The event that directly led to this one; `causationid` on the wire.
    pub causation_id: Option<Uuid>,
    /// Position among the events of this aggregate, from 1.
    pub sequence: Option<u64>,
    /// The types of the other versions that it is published in at the same time; on the wire with commas between them.
    pub twins: Vec<String>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// Further CloudEvents extensions; names are lower-case letters and digits.
    pub extensions: BTreeMap<String, String>,
    /// The payload.
    pub data: T,
}

/// An event as it arrived: attributes checked, data still JSON text.
pub type RawEvent = Event<Box<RawValue>>;

impl<T: EventData> Event<T> {
    /// An event that happened just now and starts a correlation of its own.
    #[must_use]
    pub fn new(data: T) -> Self {
        let id = Uuid::now_v7();
        Self {
            id,
            logical_id: id,
            source: T::SOURCE.to_owned(),
            event_type: T::TYPE.to_owned(),
            subject: data.subject(),
            time: Utc::now(),
            correlation_id: id,
            causation_id: None,
            sequence: None,
            twins: Vec::new(),
            trace: TraceContext::default(),
            extensions: BTreeMap::new(),
            data,
        }
    }

    /// Says which event led to this one: takes over its correlation, names it as the cause and, unless a
    /// trace was set already, continues its trace.
    #[must_use]
    pub fn caused_by<U>(mut self, cause: &Event<U>) -> Self {
        self.correlation_id = cause.correlation_id;
        self.causation_id = Some(cause.id);
        if self.trace.is_empty() {
            self.trace = cause.trace.clone();
        }
        self
    }

    /// Sets the position among the events of this aggregate.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// Sets the trace that it belongs to.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceContext) -> Self {
        self.trace = trace;
        self
    }

    /// Sets the correlation, for example to the id of a saga.
    #[must_use]
    pub fn with_correlation(mut self, correlation_id: Uuid) -> Self {
        self.correlation_id = correlation_id;
        self
    }
}

impl RawEvent {
    /// The event with its data parsed.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongType`] if the event is of another type, [`EnvelopeError::WrongSource`] if it comes
    /// from a service that the type does not belong to, [`EnvelopeError::Data`] if its data does not have the
    /// shape of `T`.
    pub fn decode<T: EventData>(&self) -> Result<Event<T>, EnvelopeError> {
        self.data().map(|data| self.with_data(data))
    }

    /// The same event with other data.
    fn with_data<T>(&self, data: T) -> Event<T> {
        Event {
            id: self.id,
            logical_id: self.logical_id,
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            subject: self.subject.clone(),
            time: self.time,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            sequence: self.sequence,
            twins: self.twins.clone(),
            trace: self.trace.clone(),
            extensions: self.extensions.clone(),
            data,
        }
    }

    /// The data alone, parsed. To read older versions as well, see [`Versions::read`].
    ///
    /// # Errors
    /// As [`RawEvent::decode`].
    pub fn data<T: EventData>(&self) -> Result<T, EnvelopeError> {
        if self.event_type != T::TYPE {
            return Err(EnvelopeError::wrong_type(T::TYPE, &self.event_type));
        }
        // Here and not in each consumer, so that no data is read whose source was not checked.
        if self.source != T::SOURCE {
            return Err(EnvelopeError::wrong_source(
                T::TYPE,
                T::SOURCE,
                &self.source,
            ));
        }
        serde_json::from_str(self.data.get()).map_err(|source| EnvelopeError::Data {
            event_type: self.event_type.clone(),
            source,
        })
    }
}
