//! Pagination: the number of items on a page, and an opaque token for the start of the next page.
//!
//! The token is base64url over the JSON of the list's name and the service's own cursor (the last key that was
//! returned; not an offset, which rows that are added or removed would shift). It is opaque, but neither secret nor
//! signed: a cursor must never say *whose* rows are read, only where to continue among the rows that the caller may see
//! anyway.

use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Items on a page if the caller does not specify a number.
pub const DEFAULT_SIZE: u32 = 20;
/// The most items on a page.
pub const MAX_SIZE: u32 = 100;
/// The longest token, in bytes: no longer one is issued or parsed. Short enough for the query of every hop.
pub const MAX_TOKEN_BYTES: usize = 512;

/// Which page of a list, in a document; what is read is text, to be refused as a problem ([`PageSize::parse`]).
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only what it says to documents is used")]
pub struct PageParams {
    /// How many items at most; 20 if it is left out.
    #[param(required = false, minimum = 1, maximum = 100)]
    page_size: u32,
    /// `next_page_token` of the page before. Left out or empty: the first page.
    #[param(required = false, max_length = 512, pattern = "^[A-Za-z0-9_-]*$")]
    page_token: String,
}

/// A valid number of items on a page: 1 to [`MAX_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

/// Why a page cannot be served; the text names the parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The size is not a number from 1 to [`MAX_SIZE`].
    #[error("page_size must be a number from 1 to 100")]
    Size,
    /// The token was not issued by this service.
    #[error("page_token is not one of ours: leave it out to start at the first page")]
    Token,
    /// A token cannot be created: a mistake in the service, not of the caller.
    #[error("the page's cursor does not fit in a token")]
    Cursor,
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Size | PageError::Token => Self::bad_request(error.to_string()),
            PageError::Cursor => Self::internal(&error),
        }
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

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// One more than the number, for SQL's `LIMIT`: an extra row shows that there is a next page.
    pub fn limit_with_next(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(DEFAULT_SIZE)
    }
}

/// A list that is read page by page. Its tokens contain its name and version, so that a token of another list, or of a
/// release with a different cursor, is refused instead of being taken for a position in this list.
///
/// ```
/// # use chassis::page::List;
/// const ORDERS: List<u64> = List::new("orders.1");
/// let token = ORDERS.token(&17).expect("a small cursor");
/// assert_eq!(ORDERS.position(Some(&token)), Ok(Some(17)));
/// assert_eq!(ORDERS.position(Some("")), Ok(None), "empty is the first page, as in a Protobuf message");
/// assert!(List::<u64>::new("orders.2").position(Some(&token)).is_err());
/// ```
#[derive(Debug)]
pub struct List<T> {
    name: &'static str,
    cursor: PhantomData<fn(T) -> T>,
}

impl<T> List<T> {
    /// A list whose cursors are `T`. The name is the list's, a dot and the version; increase the version when `T`
    /// changes.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            cursor: PhantomData,
        }
    }
}

impl<T: Serialize> List<T> {
    /// The token of the page that begins after `cursor`.
    ///
    /// # Errors
    /// [`PageError::Cursor`] if the cursor cannot be written as JSON, or the token would be longer than
    /// [`MAX_TOKEN_BYTES`]: a mistake in the service.
    pub fn token(&self, cursor: &T) -> Result<String, PageError> {
        let json = serde_json::to_vec(&(self.name, cursor)).map_err(|_| PageError::Cursor)?;
        let token = URL_SAFE_NO_PAD.encode(json);
        if token.len() > MAX_TOKEN_BYTES {
            return Err(PageError::Cursor);
        }
        Ok(token)
    }
}

impl<T: DeserializeOwned> List<T> {
    /// The position where the requested page begins; `None` for the first page. An empty token counts as absent:
    /// clients pass on what they were given, and in a Protobuf message "absent" cannot be expressed otherwise.
    ///
    /// # Errors
    /// [`PageError::Token`] for anything that was not created by [`List::token`] of this list.
    pub fn position(&self, token: Option<&str>) -> Result<Option<T>, PageError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        check(token)?;
        let json = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| PageError::Token)?;
        match serde_json::from_slice::<(&str, T)>(&json) {
            Ok((name, cursor)) if name == self.name => Ok(Some(cursor)),
            _ => Err(PageError::Token),
        }
    }
}

/// Checks the form of a token that is only passed on: a proxy does not parse it, but must not send what no hop behind
/// would accept.
///
/// # Errors
/// [`PageError::Token`] for a token that is longer than [`MAX_TOKEN_BYTES`] or contains characters that no token has.
pub fn check(token: &str) -> Result<(), PageError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if token.len() <= MAX_TOKEN_BYTES && token.bytes().all(known) {
        Ok(())
    } else {
        Err(PageError::Token)
    }
}
