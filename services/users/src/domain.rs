//! Accounts. Input is parsed into types that cannot hold invalid values; no I/O here.

mod email;
mod new_user;

use chassis::auth::Role;
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use email::Email;
pub use new_user::{Name, NewUser, Password, Violation};

/// An account, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// UUID v7.
    pub id: Uuid,
    /// As it was typed at sign-up.
    pub email: String,
    /// The name with which to address the user.
    pub name: String,
    /// The time of the sign-up.
    pub created_at: DateTime<Utc>,
}

/// The credentials that a sign-in is checked against.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user_id: Uuid,
    /// The role of the account.
    pub role: Role,
    /// The password hash as a PHC string.
    pub password_hash: String,
}
