//! The checked identity of a caller, as handlers see it.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::Role;
use super::refusal::{self, Refused};
use crate::problem::Problem;

/// Who is calling. As an axum extractor it refuses with 401 where nobody signed in, or with a token that is no good, and
/// with 503 where nobody can tell.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// What the user may do.
    pub role: Role,
    /// The token itself, to be sent along on calls made for this caller.
    pub token: String,
}

impl Caller {
    /// Whether what belongs to `owner` may be shown: to the owner and to admins. Answer everybody
    /// else as if it did not exist.
    pub fn may_see(&self, owner: Uuid) -> bool {
        self.user_id == owner || self.is_admin()
    }

    /// Whether this is an admin.
    pub fn is_admin(&self) -> bool {
        self.role.is_admin()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever reads the log must not be able to act as the caller.
        f.debug_struct("Caller")
            .field("user_id", &self.user_id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| refusal::problem(&Refused::why(&parts.extensions)))
    }
}

/// The caller of a gRPC method behind [`super::layer`].
///
/// # Errors
/// `UNAUTHENTICATED` where nobody signed in, or with a token that is no good; `UNAVAILABLE` with retry info where nobody
/// can tell.
pub fn grpc_caller<T>(request: &tonic::Request<T>) -> Result<&Caller, tonic::Status> {
    request
        .extensions()
        .get::<Caller>()
        .ok_or_else(|| refusal::status(&Refused::why(request.extensions())))
}
