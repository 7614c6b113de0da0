//! Signing in.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json as Answer};
use chassis::extract::Json;
use chassis::openapi::{Routes, routes};
use contracts::users::v1::AuthenticateRequest;
use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::client_address::ClientAddress;
use crate::error::{Error, from_sign_in};
use crate::limits::calls::Calls;

pub(super) fn routes(root: &str) -> Routes<Shared> {
    Routes::below(root).with(routes!(sign_in))
}

/// Who signs in.
#[derive(Deserr, ToSchema)]
#[schema(example = json!({"email": "demo@agora.example", "password": "shopping-for-olives"}))]
struct Credentials {
    /// As at sign-up.
    email: String,
    /// As at sign-up.
    #[schema(format = Password)]
    password: String,
    /// How long the token shall be good for, in seconds, where a short one will do. 0 or more than is granted: as long as is
    /// granted.
    #[deserr(default)]
    // A format of 32 bits is a signed number to a generated client, which ends at half of it.
    #[schema(format = Int64, maximum = 4_294_967_295_u32)]
    expires_in: Option<u32>,
}

impl From<Credentials> for AuthenticateRequest {
    fn from(credentials: Credentials) -> Self {
        Self {
            email: credentials.email,
            password: credentials.password,
            expires_in: credentials.expires_in.unwrap_or_default(),
        }
    }
}

/// A token, in the words of RFC 6749 section 5.1.
#[derive(Serialize, ToSchema)]
#[schema(example = Session::example)]
struct Session {
    /// To be sent as `Authorization: Bearer`; opaque to whoever sends it.
    access_token: String,
    /// `Bearer`.
    token_type: String,
    /// Seconds.
    expires_in: i64,
}

impl Session {
    fn example() -> Self {
        Self {
            access_token: "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
        }
    }
}

/// Signs in.
#[utoipa::path(post, path = "/sessions", operation_id = "signIn", tag = "sessions", request_body = Credentials,
    responses((status = 201, description = "A token.", body = Session)),
    extensions(("x-problems" = json!(["bad-credentials"]))))]
async fn sign_in(
    State(gateway): State<Shared>,
    ClientAddress(client): ClientAddress,
    Extension(calls): Extension<Calls>,
    Json(credentials): Json<Credentials>,
) -> Result<impl IntoResponse, Error> {
    let call = gateway.users.authenticate(credentials.into(), client);
    let answer = calls.make("users", call).await.map_err(from_sign_in)?;
    let session = Session {
        access_token: answer.access_token,
        token_type: answer.token_type,
        expires_in: answer.expires_in,
    };
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Answer(session),
    ))
}
