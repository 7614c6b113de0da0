//! What a token says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

/// Who issues tokens (`iss`).
pub const ISSUER: &str = "agora";
/// Whom they are for (`aud`).
pub const AUDIENCE: &str = "agora";

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Sees and changes what is theirs.
    Customer,
    /// Sees everything.
    Admin,
}

impl Role {
    /// As it is written in tokens and databases.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The claims of a token. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// What the user may do.
    pub role: Role,
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The first second in which it is no longer valid.
    pub exp: u64,
    /// When it was issued.
    pub iat: u64,
}

impl Claims {
    /// The claims of a token that is valid from this moment for `lifetime`.
    pub fn new(user_id: Uuid, role: Role, lifetime: Duration) -> Self {
        let iat = unix_now();
        let exp = iat + lifetime.as_secs();
        Self {
            sub: user_id,
            role,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp,
            iat,
        }
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
