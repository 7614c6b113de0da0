//! Binary content mode: attributes in headers, the data as the body.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use serde::Serialize;

use crate::attributes::{self, Attributes, JSON};
use crate::mode::CONTENT_TYPE;
use crate::{EnvelopeError, Event, RawEvent};

/// The prefix of each attribute in CloudEvents' Kafka binding.
pub const KAFKA_PREFIX: &str = "ce_";
/// AMQP 0-9-1 has no official binding; this follows Kafka's.
pub const AMQP_PREFIX: &str = "ce_";
/// The prefix of each attribute in CloudEvents' HTTP binding; with it, values are percent-encoded.
pub const HTTP_PREFIX: &str = "ce-";

/// What is not sent as it is in HTTP headers, beside everything that is not ASCII (CloudEvents' HTTP binding, section
/// 3.1.3.2). Kafka and AMQP headers are UTF-8 and need none of it.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A message as a broker or HTTP carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryMessage {
    /// The attributes, and `content-type: application/json`.
    pub headers: Vec<(String, String)>,
    /// The data as JSON.
    pub body: Bytes,
}

impl<T: Serialize> Event<T> {
    /// The event as headers and body. `prefix` is one of [`KAFKA_PREFIX`], [`AMQP_PREFIX`], [`HTTP_PREFIX`].
    ///
    /// # Errors
    /// [`EnvelopeError::Missing`] if a required attribute is empty, [`EnvelopeError::Malformed`] for an
    /// extension with a bad name, [`EnvelopeError::Encode`] if the data does not serialise.
    pub fn to_binary(&self, prefix: &str) -> Result<BinaryMessage, EnvelopeError> {
        let attributes = attributes::write(self)?;
        let mut headers = Vec::with_capacity(attributes.len() + 1);
        headers.push((CONTENT_TYPE.to_owned(), JSON.to_owned()));
        headers.extend(attributes.into_iter().map(|(name, value)| {
            let value = if prefix == HTTP_PREFIX {
                utf8_percent_encode(&value, ENCODED).to_string()
            } else {
                value
            };
            (format!("{prefix}{name}"), value)
        }));
        let body = serde_json::to_vec(&self.data).map_err(EnvelopeError::Encode)?;
        Ok(BinaryMessage {
            headers,
            body: body.into(),
        })
    }
}

impl RawEvent {
    /// Reads an event from headers and body. Headers without the prefix are not the envelope's and are
    /// left alone; names are compared without regard to case, as HTTP wants.
    ///
    /// # Errors
    /// [`EnvelopeError`] names what is missing or bad.
    pub fn from_binary<'a>(
        prefix: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let mut found = Attributes::new();
        for (name, value) in headers {
            let Some(attribute) = strip(name, prefix) else {
                continue;
            };
            let value: Cow<'_, [u8]> = if prefix == HTTP_PREFIX {
                percent_decode(value).into()
            } else {
                value.into()
            };
            let value = text(value)
                .map_err(|held| EnvelopeError::malformed(&attribute, &held, "UTF-8 is needed"))?;
            found.insert(attribute, value);
        }
        let data = match body {
            [] => None,
            body => Some(serde_json::from_slice(body).map_err(EnvelopeError::Body)?),
        };
        attributes::read(found, data)
    }
}

/// The name of an attribute, in lower case.
fn strip<'a>(name: &'a str, prefix: &str) -> Option<Cow<'a, str>> {
    let (start, attribute) = name.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) {
        return None;
    }
    Some(if attribute.bytes().any(|b| b.is_ascii_uppercase()) {
        attribute.to_ascii_lowercase().into()
    } else {
        attribute.into()
    })
}

/// Bytes as text; or, with replacement characters, what they would be if they were.
fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, String> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| lossy(bytes)),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|error| lossy(error.as_bytes())),
    }
}
