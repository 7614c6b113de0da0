//! What channels and messages are described by.

use envelope::EventData;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// An event or a job, in a document.
#[derive(Clone, Copy)]
pub(super) struct Message {
    /// The CloudEvents type.
    pub(super) name: &'static str,
    /// The CloudEvents source.
    pub(super) source: &'static str,
    /// The types of all versions that can be read as this one, newest first; this one is the first.
    pub(super) versions: fn() -> Vec<&'static str>,
    /// Its payload's schema, as a reference.
    pub(super) payload: fn(&mut SchemaGenerator) -> Schema,
}

/// The message whose payload is `T`.
pub(super) const fn message<T: EventData + JsonSchema>() -> Message {
    Message {
        name: T::TYPE,
        source: T::SOURCE,
        versions: versions::<T>,
        payload: SchemaGenerator::subschema_for::<T>,
    }
}

fn versions<T: EventData>() -> Vec<&'static str> {
    T::versions().types()
}

/// A consumer group of a topic.
pub(super) struct Group {
    /// The group, which is called like its service.
    pub(super) name: &'static str,
    /// What it handles, each in its newest version. The rest of the topic passes it without effect.
    pub(super) reads: &'static [Message],
}

/// Where messages go.
pub(super) enum Channel {
    /// A topic of facts.
    Topic {
        name: &'static str,
        about: &'static str,
        writer: &'static str,
        /// Who reads it.
        groups: &'static [Group],
        messages: &'static [Message],
    },
    /// A queue; one of its readers gets each message.
    Queue {
        name: &'static str,
        about: &'static str,
        /// None where the messages come from an exchange.
        writer: Option<&'static str>,
        reader: &'static str,
        messages: &'static [Message],
    },
    /// An exchange that copies each message to all queues that are bound to it.
    Fanout {
        name: &'static str,
        about: &'static str,
        writer: &'static str,
        queues: &'static [&'static str],
        messages: &'static [Message],
    },
}
