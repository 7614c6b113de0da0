//! Structured content mode: the whole event is one JSON document, `application/cloudevents+json`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::attributes::{self, Attributes, CONTENT_TYPE, JSON};
use crate::{EnvelopeError, Event, RawEvent};

impl<T: Serialize> Event<T> {
    /// The event as one JSON document.
    ///
    /// # Errors
    /// As [`Event::to_binary`].
    pub fn to_structured(&self) -> Result<Vec<u8>, EnvelopeError> {
        let document = Document {
            attributes: attributes::write(self)?,
            data: &self.data,
        };
        serde_json::to_vec(&document).map_err(EnvelopeError::Encode)
    }
}

struct Document<'a, T> {
    attributes: Vec<(&'a str, String)>,
    data: &'a T,
}

impl<T: Serialize> Serialize for Document<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len() + 2))?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(CONTENT_TYPE, JSON)?;
        map.serialize_entry("data", self.data)?;
        map.end()
    }
}

impl RawEvent {
    /// Reads an event from one JSON document.
    ///
    /// # Errors
    /// [`EnvelopeError`] names what is missing or bad. Data in Base64 (`data_base64`) is bad: it is not read.
    pub fn from_structured(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut document: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(bytes).map_err(EnvelopeError::Body)?;
        let data = document.remove("data");
        if let (None, Some(encoded)) = (&data, document.remove("data_base64")) {
            return Err(EnvelopeError::malformed(
                "data_base64",
                encoded.get().trim_matches('"'),
                "the data is needed as JSON, in `data`",
            ));
        }
        let mut found = Attributes::new();
        for (name, value) in document {
            if let Some(text) = canonical(&name, value.get())? {
                found.insert(name.into(), text.into());
            }
        }
        attributes::read(found, data)
    }
}

/// An attribute's value in CloudEvents' canonical text form: numbers and booleans may stand in JSON as such.
fn canonical(name: &str, json: &str) -> Result<Option<String>, EnvelopeError> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json)
            .map(Some)
            .map_err(EnvelopeError::Body),
        Some(b'{' | b'[') => Err(EnvelopeError::malformed(
            name,
            json,
            "text, a whole number or a boolean is needed",
        )),
        Some(b'n') => Ok(None),
        _ => Ok(Some(json.to_owned())),
    }
}
