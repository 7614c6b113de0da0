//! Who is calling: short-lived EdDSA tokens, checked by every service.
//!
//! Nobody trusts a header because it came from inside. The token travels with each call, the keys
//! come from whoever issues them ([`KeySource`]), what they must say is the system's ([`Realm`]), and only `EdDSA` is accepted: the algorithm is
//! never taken from the token.

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
