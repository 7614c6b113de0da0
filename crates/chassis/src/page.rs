//! Pages: how many items, and an opaque token for where the next page starts.
//!
//! The token is base64url over the JSON of the service's own cursor (the last key it returned, not
//! an offset: rows that come and go would shift it). It is opaque, not secret and not signed: a
//! cursor must never say *whose* rows are read, only where to go on among the rows that the caller
//! may see anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Items on a page when the caller does not say.
pub const DEFAULT_SIZE: u32 = 20;
/// The most items on a page.
pub const MAX_SIZE: u32 = 100;
/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// A valid number of items on a page: 1 to [`MAX_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

/// Why a page cannot be named; its text names the parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The size is not a number from 1 to [`MAX_SIZE`].
    #[error("page_size must be a number from 1 to 100")]
    Size,
    /// The token is not one that this service gave out.
    #[error("page_token is not one of ours: leave it out to start at the first page")]
    Token,
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl PageSize {
    /// From a query parameter; absent means [`DEFAULT_SIZE`].
    ///
    /// # Errors
    /// [`PageError::Size`] for anything that is not a number from 1 to [`MAX_SIZE`].
    pub fn parse(text: Option<&str>) -> Result<Self, PageError> {
        text.map_or(Ok(Self::default()), |text| {
            text.parse()
                .map_err(|_| PageError::Size)
                .and_then(Self::new)
        })
    }

    /// From a number.
    ///
    /// # Errors
    /// [`PageError::Size`] outside 1 to [`MAX_SIZE`].
    pub fn new(size: u32) -> Result<Self, PageError> {
        if (1..=MAX_SIZE).contains(&size) {
            Ok(Self(size))
        } else {
            Err(PageError::Size)
        }
    }

    /// From a protobuf field, where 0 is what an absent number looks like.
    ///
    /// # Errors
    /// [`PageError::Size`] for negative numbers and those above [`MAX_SIZE`].
    pub fn from_proto(size: i32) -> Result<Self, PageError> {
        match u32::try_from(size) {
            Ok(0) => Ok(Self::default()),
            Ok(size) => Self::new(size),
            Err(_) => Err(PageError::Size),
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// One more than the number, as SQL's `LIMIT` takes it: the extra row says that there is a next page.
    pub fn limit_with_next(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(DEFAULT_SIZE)
    }
}

/// Makes a token of a cursor. A cursor that JSON cannot hold gives an empty token, i.e. no next page.
pub fn encode<T: Serialize>(cursor: &T) -> String {
    serde_json::to_vec(cursor)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .unwrap_or_default()
}

/// Reads a cursor back.
///
/// # Errors
/// [`PageError::Token`] for anything [`encode`] did not make of a `T`.
pub fn decode<T: DeserializeOwned>(token: &str) -> Result<T, PageError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(PageError::Token);
    }
    let json = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| PageError::Token)?;
    serde_json::from_slice(&json).map_err(|_| PageError::Token)
}
