//! The versions of one event: old data is made new where it is read, one step at a time.

use std::fmt;

use super::{Event, EventData, RawEvent};
use crate::EnvelopeError;

/// Every version of an event that can be read as its newest one, `T`, newest first.
///
/// Each version knows only the step from the version before it ([`Versions::after`]); an event of the first version takes
/// all steps in turn. So a new version adds one step and changes none, and whoever works with events knows `T` alone.
pub struct Versions<T> {
    known: Vec<Version<T>>,
}

type Read<T> = Box<dyn Fn(&RawEvent) -> Result<T, EnvelopeError> + Send + Sync>;

struct Version<T> {
    event_type: &'static str,
    read: Read<T>,
}

impl<T: EventData> Versions<T> {
    /// `T` is the only version.
    #[must_use]
    pub fn only() -> Self {
        let newest = Version {
            event_type: T::TYPE,
            read: Box::new(RawEvent::data::<T>),
        };
        Self {
            known: vec![newest],
        }
    }

    /// `T`, and every version that can be read as `P`, the version before it. The conversion is the upcaster: it may
    /// move, rename and compute, but it has nothing to ask, so what `P` did not say is optional in `T`.
    #[must_use]
    pub fn after<P: EventData>() -> Self
    where
        T: From<P>,
    {
        let mut versions = Self::only();
        let earlier = P::versions().known.into_iter().map(|earlier| Version {
            event_type: earlier.event_type,
            read: Box::new(move |event: &RawEvent| (earlier.read)(event).map(T::from)) as Read<T>,
        });
        versions.known.extend(earlier);
        versions
    }
}

impl<T> Versions<T> {
    /// The types of all of them, newest first.
    #[must_use]
    pub fn types(&self) -> Vec<&'static str> {
        self.known
            .iter()
            .map(|version| version.event_type)
            .collect()
    }

    /// The data of an event of any of these versions, as the newest.
    ///
    /// # Errors
    /// As [`RawEvent::decode`], by the version that the event has. For one that is not among these:
    /// [`RawEvent::unknown_version`], or [`EnvelopeError::WrongType`] if it is another event altogether.
    pub fn read(&self, event: &RawEvent) -> Result<T, EnvelopeError> {
        // A handful: a list is faster than a map.
        let version = self
            .known
            .iter()
            .find(|version| version.event_type == event.event_type);
        match version {
            Some(version) => (version.read)(event),
            None => Err(event.unknown_version(&self.types()).unwrap_or_else(|| {
                EnvelopeError::wrong_type(self.known[0].event_type, &event.event_type)
            })),
        }
    }

    /// The event with its data as the newest version, for a consumer of this event alone. `None` for one in a version that is
    /// not read, of which a [twin](Event::twins) is: then nothing is missed.
    ///
    /// # Errors
    /// As [`Versions::read`].
    pub fn decode(&self, event: &RawEvent) -> Result<Option<Event<T>>, EnvelopeError> {
        match self.read(event) {
            Ok(data) => Ok(Some(event.with_data(data))),
            Err(EnvelopeError::WrongType { .. }) if self.has_twin_of(event) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this event is another version of these, and is published in one of them, too.
    fn has_twin_of(&self, event: &RawEvent) -> bool {
        let name = split(&event.event_type).map(|(name, _)| name);
        let known = self.types();
        let is_version = known
            .iter()
            .any(|known| split(known).is_some_and(|(of, _)| name == Some(of)));
        let is_known = |twin: &String| known.contains(&twin.as_str());
        is_version && event.twins.iter().any(is_known)
    }
}

impl<T> fmt::Debug for Versions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Versions").field(&self.types()).finish()
    }
}

impl<T: EventData> Event<T> {
    /// The same event in another version, to be published beside this one while there are readers of both. What differs
    /// is the id and the data. Both carry the older one's id as their [logical id](Event::logical_id), by which a
    /// consumer takes one of them, and each names the other ([`Event::twins`]).
    ///
    /// `self` is the older version: a consumer from before there were twins knows its id and no other.
    /// A pair and no more: of three versions, the first would not name the third, and whoever reads only that would park it.
    #[must_use]
    pub fn with_twin<U: EventData>(mut self, data: U) -> (Self, Event<U>) {
        let mut twin = Event::new(data);
        twin.subject.clone_from(&self.subject);
        twin.time = self.time;
        twin.logical_id = self.logical_id;
        twin.correlation_id = self.correlation_id;
        twin.causation_id = self.causation_id;
        twin.sequence = self.sequence;
        twin.trace.clone_from(&self.trace);
        twin.extensions.clone_from(&self.extensions);
        twin.twins.clone_from(&self.twins);
        twin.twins.push(self.event_type.clone());
        self.twins.push(twin.event_type.clone());
        (self, twin)
    }
}

impl RawEvent {
    /// Why this event must not be passed over by a consumer that reads the types `known`, this one not among them: it is
    /// another version of one of them ([`EnvelopeError::NewerVersion`], [`EnvelopeError::RetiredVersion`]). `None` if it
    /// is another event, or has a [twin](Event::twins) that is known: then nothing is missed.
    #[must_use]
    pub fn unknown_version(&self, known: &[&'static str]) -> Option<EnvelopeError> {
        let (name, version) = split(&self.event_type)?;
        let same = known
            .iter()
            .filter_map(|known| Some((*known, split(known)?)))
            .filter(|(_, (of, _))| *of == name);
        let (newest, (_, newest_version)) = same.max_by_key(|(_, (_, version))| *version)?;
        if self.twins.iter().any(|twin| known.contains(&twin.as_str())) {
            return None;
        }
        Some(if version > newest_version {
            EnvelopeError::newer_version(&self.event_type, newest)
        } else {
            EnvelopeError::retired_version(&self.event_type, newest)
        })
    }
}

/// `agora.order.placed.v1` is version 1 of `agora.order.placed`. A type without a version has no others. A version of another
/// form, such as `v2.1`, is newer than all that are known: it must not pass for another event.
fn split(event_type: &str) -> Option<(&str, u32)> {
    let (name, version) = event_type.rsplit_once(".v")?;
    let is_version = version.starts_with(|first: char| first.is_ascii_digit());
    is_version.then(|| (name, version.parse().unwrap_or(u32::MAX)))
}
