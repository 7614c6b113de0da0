//! Why a token is refused.

/// Why a token does not say who is calling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error("a valid access token is needed")]
    Missing,
    /// It is forged, expired, for somebody else, or not a token. Which of them is not told.
    #[error("the access token is not valid")]
    Invalid,
    /// It may be good, but the keys to tell cannot be had at this moment.
    #[error("access tokens cannot be checked at this moment")]
    KeysUnavailable,
}
