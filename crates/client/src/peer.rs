//! Another service, as its callers see it.

use std::time::Duration;

use url::Url;

/// Another service, as its callers see it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name, for errors and logs.
    pub name: &'static str,
    /// Where it is: `http://host:port`, with a path if it lives under one.
    pub url: Url,
    /// How long a whole call may take, the answer's body included. For gRPC: until the answer begins, since
    /// a stream may go on for as long as its reader wants.
    pub timeout: Duration,
}

impl Peer {
    /// A peer at `url`, whose calls may take up to `timeout`.
    #[must_use]
    pub fn new(name: &'static str, url: Url, timeout: Duration) -> Self {
        Self { name, url, timeout }
    }

    /// The URL without a slash at its end, ready for a path that begins with one.
    pub(crate) fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }
}

/// Reads a peer's address; a value parser for configuration.
///
/// # Errors
/// Says what is allowed, for a person.
pub fn parse_url(text: &str) -> Result<Url, String> {
    let allowed = "an address such as http://127.0.0.1:8081 is needed";
    let url = Url::parse(text).map_err(|error| format!("{error}: {allowed}"))?;
    // No https: between services the mesh encrypts, so that no service carries certificates of its own.
    match url.scheme() {
        "http" if url.query().is_none() && url.fragment().is_none() => Ok(url),
        _ => Err(allowed.to_owned()),
    }
}
