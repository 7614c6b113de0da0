//! Signing in.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json as Answer, Router};
use chassis::extract::Json;
use contracts::users::v1::AuthenticateRequest;
use deserr::Deserr;
use serde::Serialize;

use super::Shared;
use super::client_address::ClientAddress;
use crate::error::{Error, from_sign_in};

pub(super) fn router(root: &str) -> Router<Shared> {
    Router::new().route(&format!("{root}/sessions"), post(sign_in))
}

#[derive(Deserr)]
struct Credentials {
    email: String,
    password: String,
}

/// A token, in the words of RFC 6749 section 5.1.
#[derive(Serialize)]
struct Session {
    access_token: String,
    token_type: String,
    /// Seconds.
    expires_in: i64,
}

async fn sign_in(
    State(gateway): State<Shared>,
    ClientAddress(client): ClientAddress,
    Json(Credentials { email, password }): Json<Credentials>,
) -> Result<impl IntoResponse, Error> {
    let answer = gateway
        .users
        .authenticate(AuthenticateRequest { email, password }, client)
        .await
        .map_err(from_sign_in)?;
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
