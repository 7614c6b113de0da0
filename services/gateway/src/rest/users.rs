//! Users: REST outside, gRPC inside.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json as Answer, Router};
use bytes::Bytes;
use chassis::auth::Caller;
use chassis::extract::{Json, Path, Query};
use chassis::page::{MAX_TOKEN_BYTES, PageError, PageSize};
use chassis::problem::Problem;
use client::CallError;
use contracts::users::v1::{CreateUserRequest, GetUserOrdersRequest, ListUsersRequest};
use deserr::Deserr;
use futures::StreamExt;
use serde::Deserialize;
use uuid::Uuid;

use super::Shared;
use super::client_address::ClientAddress;
use super::view::{OrderPage, User};
use crate::error::{Error, from_query};

pub(super) fn router(root: &str) -> Router<Shared> {
    Router::new()
        .route(&format!("{root}/users"), get(list).post(create))
        .route(&format!("{root}/users/me"), get(me))
        .route(&format!("{root}/users/{{id}}"), get(one))
        .route(&format!("{root}/users/{{id}}/orders"), get(orders))
}

/// A sign-up. What the fields may hold is the users service's to say.
#[derive(Deserr)]
struct NewUser {
    email: String,
    name: String,
    password: String,
}

async fn create(
    State(gateway): State<Shared>,
    ClientAddress(client): ClientAddress,
    uri: Uri,
    Json(new): Json<NewUser>,
) -> Result<impl IntoResponse, Error> {
    let NewUser {
        email,
        name,
        password,
    } = new;
    let user = gateway
        .users
        .create_user(
            CreateUserRequest {
                email,
                name,
                password,
            },
            client,
        )
        .await?;
    // Below the root that the client used.
    let location = format!("{}/{}", uri.path(), user.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Answer(User::from(user)),
    ))
}

async fn me(State(gateway): State<Shared>, caller: Caller) -> Result<Answer<User>, Error> {
    let user = gateway
        .users
        .get_user(&caller.token, &caller.user_id.to_string())
        .await?;
    Ok(Answer(user.into()))
}

async fn one(
    State(gateway): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Answer<User>, Error> {
    let id = visible(&caller, id)?;
    Ok(Answer(
        gateway.users.get_user(&caller.token, &id).await?.into(),
    ))
}

/// Every user, a line of JSON each. A line is asked for from users only when the one before it went out:
/// a slow reader slows the stream down to the database, and the gateway holds a handful of users at a time.
async fn list(State(gateway): State<Shared>, caller: Caller) -> Result<Response, Error> {
    if !caller.is_admin() {
        return Err(Problem::forbidden().into());
    }
    let users = gateway
        .users
        .list_users(&caller.token, ListUsersRequest::default())
        .await?;
    // An error in the middle breaks the connection off: the client must not take a part for the whole.
    let lines = users.map(|user| user.map_err(std::io::Error::other).and_then(line));
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
}

fn line(user: contracts::users::v1::User) -> std::io::Result<Bytes> {
    let mut line = serde_json::to_vec(&User::from(user))?;
    line.push(b'\n');
    Ok(line.into())
}

#[derive(Deserialize)]
struct PageQuery {
    page_size: Option<String>,
    page_token: Option<String>,
}

async fn orders(
    State(gateway): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Answer<OrderPage>, Error> {
    let user_id = visible(&caller, id)?;
    let page_size = PageSize::parse(page.page_size.as_deref()).map_err(Problem::from)?;
    let page_token = page.page_token.unwrap_or_default();
    // Nobody gives out a longer one, and it would not fit on its way.
    if page_token.len() > MAX_TOKEN_BYTES {
        return Err(Problem::from(PageError::Token).into());
    }
    let request = GetUserOrdersRequest {
        user_id,
        // At most 100.
        page_size: page_size.get() as i32,
        page_token,
    };
    let page = gateway
        .users
        .get_user_orders(&caller.token, request)
        .await
        .map_err(of_query)?;
    Ok(Answer(page.into()))
}

fn of_query(error: CallError) -> Error {
    Error::Refused(from_query(error))
}

/// The id as text, if the caller may see that user; else the same 404 as for a user that does not exist.
/// Users checks it again: this only saves the call.
pub(super) fn visible(caller: &Caller, id: Uuid) -> Result<String, Problem> {
    if caller.may_see(id) {
        Ok(id.to_string())
    } else {
        Err(Problem::not_found())
    }
}
