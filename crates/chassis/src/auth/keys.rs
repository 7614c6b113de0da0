//! The public keys that tokens are checked with, and where they come from.
//!
//! Who asks for a key decides nothing but its id, and that is the caller's to invent. So three things are bounded: how
//! often the source is asked ([`FETCH_INTERVAL`], one fetch at a time), how many wait for it ([`WAITING_MAX`]), and how
//! often one id is looked for ([`missing::REMEMBERED`]).

mod missing;
mod ring;

use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;

use crate::BoxError;

pub(super) use ring::KeyRing;

/// The shortest time between two fetches: unknown key ids are the caller's to invent.
pub(super) const FETCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long one fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The most requests that wait for the next fetch. Each may hold a place among those in progress (1,024 by default), and
/// forged tokens come by the thousand; those beyond are answered from the keys at hand. A key is published long before it
/// signs, so a token whose key is not among keys of a moment ago is as good as never a good one.
pub(super) const WAITING_MAX: usize = 64;

/// Where the public keys come from: the issuer's key endpoint, or its own database.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that are valid at this moment.
    async fn fetch(&self) -> Result<JwkSet, BoxError>;
}

/// What a look for a key came to.
pub(super) enum Lookup {
    /// There it is.
    Found(DecodingKey),
    /// The source has no such key.
    Unknown,
    /// The source did not answer.
    Unavailable(String),
}
