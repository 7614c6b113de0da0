//! The versions of the public API, and the headers that announce a successor.

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

    /// The root with its name.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::V1 => "/api/v1",
            Self::V2 => "/api/v2",
        }
    }

    /// All of its roots. The oldest supported version also has one without a name.
    pub(crate) const fn roots(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &["/api", "/api/v1"],
            Self::V2 => &["/api/v2"],
        }
    }

    /// The next version.
    pub(crate) const fn successor(self) -> Option<Self> {
        match self {
            Self::V1 => Some(Self::V2),
            Self::V2 => None,
        }
    }
}

/// Since when version 1 is deprecated: 2026-11-28, in the form of [RFC 9745](https://www.rfc-editor.org/rfc/rfc9745).
const DEPRECATED: HeaderValue = HeaderValue::from_static("@1795824000");
/// When it may be removed, a year later, in the form of [RFC 8594](https://www.rfc-editor.org/rfc/rfc8594).
const SUNSET: HeaderValue = HeaderValue::from_static("Sun, 28 Nov 2027 00:00:00 GMT");

const DEPRECATION_HEADER: HeaderName = HeaderName::from_static("deprecation");
const SUNSET_HEADER: HeaderName = HeaderName::from_static("sunset");

/// The link to where the same resources are in the next version: what is below one prefix here is below the other there.
#[derive(Debug, Clone)]
pub(crate) struct Successor(HeaderValue);

impl Successor {
    /// At this path; paths of routes are plain ASCII.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let link = format!("<{path}>; rel=\"successor-version\"");
        HeaderValue::try_from(link).ok().map(Self)
    }

    /// Adds the headers that say that this version is deprecated, when it may be removed, and what its successor is.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION_HEADER, DEPRECATED);
        headers.insert(SUNSET_HEADER, SUNSET);
        headers.append(header::LINK, self.0.clone());
    }
}
