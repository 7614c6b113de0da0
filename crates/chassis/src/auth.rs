//! Authentication of callers: short-lived EdDSA tokens, checked by every service.
//!
//! No header is trusted because it came from inside the system. The token is passed on with each call, the keys come
//! from its issuer ([`KeySource`]), the required claims are those of the system ([`Realm`]), and only `EdDSA` is
//! accepted: the algorithm is never taken from the token.

mod cache;
mod caller;
mod claims;
mod error;
mod keys;
mod layer;
mod refusal;
mod verifier;

pub use caller::{Caller, grpc_caller};
pub use claims::{Claims, Realm, Role};
pub use error::AuthError;
pub use jsonwebtoken::jwk::JwkSet;
pub use keys::KeySource;
pub use layer::{AuthLayer, AuthService, layer};
pub use refusal::Refused;
pub use verifier::{REFRESH, Verifier};
