//! What an account is. Input is parsed into types that cannot hold anything invalid; no I/O here.

mod email;
mod new_user;

use chassis::auth::Role;
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use email::Email;
pub use new_user::{Name, NewUser, Password, Violation};

/// An account, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// UUID v7.
    pub id: Uuid,
    /// As it was typed at sign-up.
    pub email: String,
    /// How to address them.
    pub name: String,
    /// When they signed up.
    pub created_at: DateTime<Utc>,
}

/// What a sign-in is checked against.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user_id: Uuid,
    /// What it may see.
    pub role: Role,
    /// PHC string.
    pub password_hash: String,
}
