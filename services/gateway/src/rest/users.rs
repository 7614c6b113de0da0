//! Users: REST outside, gRPC inside.

pub(super) mod v2;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use bytes::Bytes;
use chassis::auth::Caller;
use chassis::extract::{Json, Path, Query};
use chassis::openapi::{Routes, routes};
use chassis::page::{MAX_TOKEN_BYTES, PageError, PageParams, PageSize};
use chassis::problem::Problem;
use client::CallError;
use contracts::users::v1::{CreateUserRequest, GetUserOrdersRequest, ListUsersRequest};
use deserr::Deserr;
use futures::StreamExt;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Shared;
use super::client_address::ClientAddress;
use super::view::{OrderPage, User};
use crate::error::{Error, from_query};
use crate::limits::calls::Calls;

pub(super) fn routes(root: &str) -> Routes<Shared> {
    Routes::below(root)
        .with(routes!(list, create))
        .with(routes!(me))
        .with(routes!(one))
}

/// The orders of a user, which come by gRPC in the form of version 1.
pub(super) fn orders_routes(root: &str) -> Routes<Shared> {
    Routes::below(root).with(routes!(orders))
}

/// A sign-up. What the fields may hold is the users service's to say.
#[derive(Deserr, ToSchema)]
#[schema(example = json!({"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}))]
struct NewUser {
    /// Where mails go, and what one signs in with. One account for each.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// How to address them.
    #[schema(min_length = 1, max_length = 100, pattern = "\\S")]
    name: String,
    /// Only its hash is kept.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    password: String,
}

/// Signs up.
#[utoipa::path(post, path = "/users", operation_id = "signUp", tag = "users", request_body = NewUser,
    responses((status = 201, description = "The new user.", body = User,
        headers(("Location" = String, description = "Where the user is.")))),
    extensions(("x-problems" = json!(["conflict"]))))]
async fn create(
    State(gateway): State<Shared>,
    ClientAddress(client): ClientAddress,
    Extension(calls): Extension<Calls>,
    uri: Uri,
    Json(new): Json<NewUser>,
) -> Result<impl IntoResponse, Error> {
    let NewUser {
        email,
        name,
        password,
    } = new;
    let new = CreateUserRequest {
        email,
        name,
        password,
    };
    let call = gateway.users.create_user(new, client);
    let user = calls.make("users", call).await?;
    // Below the root that the client used.
    let location = format!("{}/{}", uri.path(), user.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Answer(User::from(user)),
    ))
}

/// The caller.
#[utoipa::path(get, path = "/users/me", operation_id = "getMe", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "The caller.", body = User)),
    extensions(("x-problems" = json!(["not-found"]))))]
async fn me(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
) -> Result<Answer<User>, Error> {
    let id = caller.user_id.to_string();
    let call = gateway.users.get_user(&caller.token, &id);
    Ok(Answer(calls.make("users", call).await?.into()))
}

/// One user: oneself, or anybody for an administrator.
#[utoipa::path(get, path = "/users/{id}", operation_id = "getUser", tag = "users", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The user's id.")),
    responses((status = 200, description = "The user.", body = User)))]
async fn one(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
    Path(id): Path<Uuid>,
) -> Result<Answer<User>, Error> {
    let id = visible(&caller, id)?;
    let call = gateway.users.get_user(&caller.token, &id);
    Ok(Answer(calls.make("users", call).await?.into()))
}

/// Every user, a line of JSON each: for administrators.
///
/// The connection breaks off if not all could be listed.
#[utoipa::path(get, path = "/users", operation_id = "listUsers", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "A user in each line.", content_type = "application/x-ndjson", body = String,
        example = json!(User::example_lines()))),
    extensions(("x-problems" = json!(["forbidden"]))))]
async fn list(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
) -> Result<Response, Error> {
    // The next line is requested from users only when the last one was sent: a slow reader slows down the stream as far as the
    // database, and the gateway holds only a few users at a time.
    if !caller.is_admin() {
        return Err(Problem::forbidden().into());
    }
    let call = gateway
        .users
        .list_users(&caller.token, ListUsersRequest::default());
    let users = calls.make("users", call).await?;
    // An error aborts the connection, so that the client does not mistake a part for the whole list.
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

impl PageQuery {
    fn parse(self) -> Result<(PageSize, Option<String>), Problem> {
        let size = PageSize::parse(self.page_size.as_deref())?;
        // No service issues a longer token, and it would not fit into the request behind.
        match self.page_token {
            Some(token) if token.len() > MAX_TOKEN_BYTES => Err(PageError::Token.into()),
            token => Ok((size, token)),
        }
    }
}

/// A user's orders, newest first: one's own, or anybody's for an administrator.
#[utoipa::path(get, path = "/users/{id}/orders", operation_id = "listUserOrders", tag = "users",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The user's id."), PageParams),
    responses((status = 200, description = "A page of orders.", body = contracts::rest::OrderPage)))]
async fn orders(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Answer<OrderPage>, Error> {
    let user_id = visible(&caller, id)?;
    let (page_size, page_token) = page.parse()?;
    let request = GetUserOrdersRequest {
        user_id,
        // At most 100.
        page_size: page_size.get() as i32,
        page_token: page_token.unwrap_or_default(),
    };
    // users asks orders. The line of orders is always the first of both.
    let call = gateway.users.get_user_orders(&caller.token, request);
    let call = calls.make("orders", calls.make("users", call));
    let page = call.await.map_err(of_query)?;
    Ok(Answer(page.into()))
}

fn of_query(error: CallError) -> Error {
    Error::Refused(from_query(error))
}

/// The id as text, if the caller may see that user; otherwise the same 404 as for a user that does not exist. users checks it
/// again; this check only saves the call.
pub(super) fn visible(caller: &Caller, id: Uuid) -> Result<String, Problem> {
    if caller.may_see(id) {
        Ok(id.to_string())
    } else {
        Err(Problem::not_found())
    }
}
