//! The claims of a token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a caller may do. A system defines its roles as constants and lists them in its [`Realm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    name: &'static str,
    is_admin: bool,
}

impl Role {
    /// A role that may see and change only what belongs to its user.
    #[must_use]
    pub const fn user(name: &'static str) -> Self {
        Self {
            name,
            is_admin: false,
        }
    }

    /// A role that may see everything.
    #[must_use]
    pub const fn admin(name: &'static str) -> Self {
        Self {
            name,
            is_admin: true,
        }
    }

    /// The name, as written in tokens and databases.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// Whether the role may see everything.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        self.is_admin
    }
}

/// The settings that the issuer of tokens and all services that check them share.
#[derive(Clone, Copy, Debug)]
pub struct Realm {
    /// The issuer of tokens (`iss`).
    pub issuer: &'static str,
    /// The audience of tokens (`aud`).
    pub audience: &'static str,
    /// Every role that a token may name; a token with another role is refused.
    pub roles: &'static [Role],
}

impl Realm {
    /// The role with this name, if there is one.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        self.roles.iter().copied().find(|role| role.name == name)
    }

    /// The claims of a token that is valid from now for `lifetime`.
    #[must_use]
    pub fn claims(&self, user_id: Uuid, role: Role, lifetime: Duration) -> Claims {
        let iat = unix_now();
        Claims {
            sub: user_id,
            role: role.as_str().to_owned(),
            iss: self.issuer.to_owned(),
            aud: self.audience.to_owned(),
            exp: iat + lifetime.as_secs(),
            iat,
        }
    }
}

/// The claims of a token ([`Realm::claims`]). Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// The name of the user's [`Role`].
    pub role: String,
    /// [`Realm::issuer`].
    pub iss: String,
    /// [`Realm::audience`].
    pub aud: String,
    /// The first second in which the token is no longer valid.
    pub exp: u64,
    /// When it was issued.
    pub iat: u64,
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
