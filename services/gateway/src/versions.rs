//! The versions of the public API, and what clients are told of one that has a successor.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use strum::IntoStaticStr;

/// A version of the public API: a form of the same calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Version {
    /// Money in two members, no addresses.
    V1,
    /// Money in one value, addresses, reasons with a code.
    V2,
}

impl Version {
    /// All that are served, oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its name in paths and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Where it lives under its own name.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::V1 => "/api/v1",
            Self::V2 => "/api/v2",
        }
    }

    /// Everywhere that it lives. The oldest supported version needs no name.
    pub(crate) const fn roots(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &["/api", "/api/v1"],
            Self::V2 => &["/api/v2"],
        }
    }

    /// What follows it.
    pub(crate) const fn successor(self) -> Option<Self> {
        match self {
            Self::V1 => Some(Self::V2),
            Self::V2 => None,
        }
    }
}

/// Since when version 1 is deprecated: 2026-11-28, in the form of [RFC 9745](https://www.rfc-editor.org/rfc/rfc9745).
const DEPRECATED: HeaderValue = HeaderValue::from_static("@1795824000");
/// When it may be gone, a year later, in the form of [RFC 8594](https://www.rfc-editor.org/rfc/rfc8594).
const SUNSET: HeaderValue = HeaderValue::from_static("Sun, 28 Nov 2027 00:00:00 GMT");

const DEPRECATION_HEADER: HeaderName = HeaderName::from_static("deprecation");
const SUNSET_HEADER: HeaderName = HeaderName::from_static("sunset");

/// Where the next version of what was asked for is.
#[derive(Debug, Clone)]
pub(crate) struct Successor(HeaderValue);

impl Successor {
    /// At this path; paths of routes are plain ASCII.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let link = format!("<{path}>; rel=\"successor-version\"");
        HeaderValue::try_from(link).ok().map(Self)
    }

    /// Says in an answer that the version which gave it is deprecated, when it goes, and what follows it.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION_HEADER, DEPRECATED);
        headers.insert(SUNSET_HEADER, SUNSET);
        headers.append(header::LINK, self.0.clone());
    }
}
