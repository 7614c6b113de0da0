//! The checked identity of a caller, as handlers see it.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::Role;
use super::refusal::{self, Refused};
use crate::problem::Problem;

/// The authenticated caller. As an axum extractor it refuses with 401 if the request has no token or an invalid one,
/// and with 503 if the keys to check it are unavailable.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// The user's role.
    pub role: Role,
    /// The token itself, to be passed on with calls made for this caller.
    pub token: String,
}

impl Caller {
    /// Whether the caller may see what belongs to `owner`: the owner and admins may. Answer everybody else as if it did
    /// not exist.
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
        // The token is left out, so that a reader of the log cannot act as the caller.
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
/// `UNAUTHENTICATED` if the call has no token or an invalid one; `UNAVAILABLE` with retry info if the keys to check it
/// are unavailable.
pub fn grpc_caller<T>(request: &tonic::Request<T>) -> Result<&Caller, tonic::Status> {
    request
        .extensions()
        .get::<Caller>()
        .ok_or_else(|| refusal::status(&Refused::why(request.extensions())))
}
