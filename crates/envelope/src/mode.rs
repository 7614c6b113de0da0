//! Which of the two modes a message is in.

use crate::{EnvelopeError, RawEvent};

/// The header that tells the modes apart. It has no prefix in any binding.
pub(crate) const CONTENT_TYPE: &str = "content-type";

/// The media type of an event in structured mode.
pub const STRUCTURED_CONTENT_TYPE: &str = "application/cloudevents+json";

/// All content types of events that are not in binary mode begin with it: structured in JSON or another format, batches.
const NOT_BINARY: &str = "application/cloudevents";

impl RawEvent {
    /// Reads an event in whichever mode it came, as the protocol bindings tell them apart: a message whose content type
    /// is [`STRUCTURED_CONTENT_TYPE`] is structured, all others are binary. `prefix` is that of the attributes' headers in
    /// binary mode. What a consumer calls that does not choose its publishers.
    ///
    /// # Errors
    /// [`EnvelopeError`] names what is missing or bad; [`EnvelopeError::ContentType`] for a batch, and for a format other
    /// than JSON.
    pub fn from_message<'a>(
        prefix: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])> + Clone,
        body: &[u8],
    ) -> Result<Self, EnvelopeError> {
        let mut pairs = headers.clone().into_iter();
        let content_type = pairs.find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
        let held = content_type.map_or_else(Default::default, |(_, value)| {
            String::from_utf8_lossy(value).to_ascii_lowercase()
        });
        // Behind a semicolon are parameters: `; charset=utf-8`.
        match held.split(';').next().unwrap_or_default().trim() {
            STRUCTURED_CONTENT_TYPE => Self::from_structured(body),
            other if other.starts_with(NOT_BINARY) => Err(EnvelopeError::content_type(other)),
            _ => Self::from_binary(prefix, headers, body),
        }
    }
}
