//! Why a token is refused.

/// Why a token does not identify a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request has no token.
    #[error("a valid access token is needed")]
    Missing,
    /// The token is forged, expired, for another audience, or no token at all. The caller is not told which.
    #[error("the access token is not valid")]
    Invalid,
    /// The token may be valid, but the keys to check it are unavailable at the moment.
    #[error("access tokens cannot be checked at this moment")]
    KeysUnavailable,
}
