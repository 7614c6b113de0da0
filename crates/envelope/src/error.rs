//! Why an envelope could not be read or written.

/// Why an envelope could not be read or written. No retry changes any of these: a consumer that gets one parks the
/// message.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Required attributes that are absent or empty: all of them, not the first.
    #[error("missing: {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// An attribute that is there and cannot be read.
    #[error("attribute {attribute} holds {held:?}: {expected}")]
    Malformed {
        /// The attribute's name in CloudEvents.
        attribute: String,
        /// What it held, shortened to [`EnvelopeError::HELD_CHARS_MAX`] characters.
        held: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A version of CloudEvents that this code does not support.
    #[error("specversion is {0:?}: only 1.0 is understood")]
    SpecVersion(String),
    /// The message is a batch of events, or an event in a format other than JSON.
    #[error(
        "the content type is {0:?}: binary mode and application/cloudevents+json are understood"
    )]
    ContentType(String),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Body(#[source] serde_json::Error),
    /// The event is of another type than the one asked for.
    #[error("the event is a {found}, not a {expected}")]
    WrongType {
        /// The type that the caller wanted to decode.
        expected: &'static str,
        /// The type that the event carries.
        found: String,
    },
    /// The event is of a version that its reader does not know yet: the reader is to be brought up to date, then the event
    /// can be sent again.
    #[error("{found} is newer than {newest}, the newest version that is read here")]
    NewerVersion {
        /// The event's type, shortened to [`EnvelopeError::HELD_CHARS_MAX`] characters.
        found: String,
        /// The newest version that its reader knows.
        newest: &'static str,
    },
    /// The event is of a version that its reader knows no longer, or never did.
    #[error("{found} is not read here any more; the newest version is {newest}")]
    RetiredVersion {
        /// The event's type, shortened to [`EnvelopeError::HELD_CHARS_MAX`] characters.
        found: String,
        /// The newest version that its reader knows.
        newest: &'static str,
    },
    /// The event comes from a service that its type does not belong to.
    #[error("a {event_type} comes from {expected} only, not from {found:?}")]
    WrongSource {
        /// The event's type.
        event_type: &'static str,
        /// The source that owns the type.
        expected: &'static str,
        /// The source that the event names, shortened to [`EnvelopeError::HELD_CHARS_MAX`] characters.
        found: String,
    },
    /// The data is JSON but not of the shape that its type promises.
    #[error("the data is no {event_type}: {source}")]
    Data {
        /// The event's type.
        event_type: String,
        /// What does not fit, and where.
        source: serde_json::Error,
    },
    /// The event cannot be written, since its data does not serialise.
    #[error("the event cannot be written: {0}")]
    Encode(#[source] serde_json::Error),
}

impl EnvelopeError {
    /// Longest part of a bad value that an error repeats, in characters: errors end up in logs and in
    /// dead-letter headers.
    pub const HELD_CHARS_MAX: usize = 64;

    pub(crate) fn malformed(attribute: &str, held: &str, expected: &'static str) -> Self {
        Self::Malformed {
            attribute: attribute.to_owned(),
            held: shortened(held),
            expected,
        }
    }

    pub(crate) fn content_type(held: &str) -> Self {
        Self::ContentType(shortened(held))
    }

    pub(crate) fn wrong_type(expected: &'static str, found: &str) -> Self {
        Self::WrongType {
            expected,
            found: found.to_owned(),
        }
    }

    pub(crate) fn newer_version(found: &str, newest: &'static str) -> Self {
        Self::NewerVersion {
            found: shortened(found),
            newest,
        }
    }

    pub(crate) fn retired_version(found: &str, newest: &'static str) -> Self {
        Self::RetiredVersion {
            found: shortened(found),
            newest,
        }
    }

    pub(crate) fn wrong_source(
        event_type: &'static str,
        expected: &'static str,
        found: &str,
    ) -> Self {
        Self::WrongSource {
            event_type,
            expected,
            found: shortened(found),
        }
    }
}

fn shortened(held: &str) -> String {
    held.chars().take(EnvelopeError::HELD_CHARS_MAX).collect()
}
