//! The public keys that tokens are checked with, and their source.
//!
//! A request for a key contains only a key id, which a caller can make up. So three things are limited: how often the
//! source is asked ([`FETCH_INTERVAL`], one fetch at a time), how many requests wait for it ([`WAITING_MAX`]), and how
//! often one id is looked up ([`missing::REMEMBERED`]).

mod missing;
mod ring;

use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;

use crate::BoxError;

pub(super) use ring::KeyRing;

/// The shortest time between two fetches, because callers can make up unknown key ids.
pub(super) const FETCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long one fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The most requests that wait for the next fetch. They hold no place among those in progress
/// ([`outside`](crate::limits::outside)), but forged tokens can come by the thousand and each would wait for up to
/// [`FETCH_INTERVAL`]; requests beyond this limit are decided with the keys at hand. A key is
/// published long before it signs, so that a token whose key was not there a moment ago is almost certainly invalid.
pub(super) const WAITING_MAX: usize = 64;

/// The source of the public keys: the issuer's key endpoint, or its own database.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that are valid at this moment.
    async fn fetch(&self) -> Result<JwkSet, BoxError>;
}

/// The result of a lookup of a key.
pub(super) enum Lookup {
    /// The key.
    Found(DecodingKey),
    /// The source has no such key.
    Unknown,
    /// The source did not answer.
    Unavailable(String),
}
