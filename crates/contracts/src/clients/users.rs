//! Accounts and identity (gRPC).

use std::net::IpAddr;

use client::{CallError, GrpcChannel, Monitor, Peer, authorized};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::limits::FIELD_BYTES_MAX;
use crate::users::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, GetKeysRequest, GetKeysResponse,
    GetUserOrdersRequest, GetUserOrdersResponse, GetUserRequest, GetUsersRequest, ListUsersRequest,
    User, user_service_client::UserServiceClient,
};

/// The methods that can be done twice. `CreateUser` is not among them: the second of two would be told that the email is taken.
const REPEATABLE: &[&str] = &[
    "GetUser",
    "GetUsers",
    "ListUsers",
    "GetUserOrders",
    "Authenticate",
    "GetKeys",
];

fn is_repeatable(path: &str) -> bool {
    path.strip_prefix("/agora.users.v1.UserService/")
        .is_some_and(|method| REPEATABLE.contains(&method))
}

/// A client of `agora.users.v1.UserService`.
#[derive(Debug, Clone)]
pub struct Users {
    grpc: UserServiceClient<GrpcChannel>,
    peer: &'static str,
    monitor: Monitor,
}

impl Users {
    /// Most ids in one call of [`Users::get_users`].
    pub const IDS_MAX: usize = 100;

    /// A client for `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        let channel = GrpcChannel::new(peer, is_repeatable);
        Self {
            peer: channel.peer().name,
            monitor: channel.monitor(),
            grpc: UserServiceClient::new(channel),
        }
    }

    /// What can be seen and forced from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// One user.
    ///
    /// # Errors
    /// See [`CallError`]; NOT_FOUND also for a user that the caller may not see.
    pub async fn get_user(&self, token: &str, user_id: &str) -> Result<User, CallError> {
        let request = GetUserRequest {
            user_id: user_id.to_owned(),
        };
        let request = authorized(request, token);
        self.finish(self.grpc.clone().get_user(request).await)
    }

    /// The users among `ids` that exist and that the caller may see, in that order.
    ///
    /// # Errors
    /// See [`CallError`]; INVALID_ARGUMENT for none at all and for more than [`Users::IDS_MAX`].
    pub async fn get_users(
        &self,
        token: &str,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<User>, CallError> {
        let user_ids = ids.into_iter().map(|id| id.to_string()).collect();
        let request = authorized(GetUsersRequest { user_ids }, token);
        let answer = self.grpc.clone().get_users(request).await;
        Ok(self.finish(answer)?.users)
    }

    /// Signs a customer up, for a client at this address.
    ///
    /// # Errors
    /// See [`CallError`]; ALREADY_EXISTS, INVALID_ARGUMENT with field violations, RESOURCE_EXHAUSTED with a
    /// `QuotaFailure` when that address has been refused too often.
    pub async fn create_user(
        &self,
        new_user: CreateUserRequest,
        client: Option<IpAddr>,
    ) -> Result<User, CallError> {
        let new_user = CreateUserRequest {
            email: cut(new_user.email),
            name: cut(new_user.name),
            password: cut(new_user.password),
        };
        let request = on_behalf_of(new_user, client);
        self.finish(self.grpc.clone().create_user(request).await)
    }

    /// Every user, oldest first, as fast as the stream is read. Its items fail with a bare status.
    ///
    /// # Errors
    /// See [`CallError`]; PERMISSION_DENIED for anybody but an admin.
    pub async fn list_users(
        &self,
        token: &str,
        request: ListUsersRequest,
    ) -> Result<Streaming<User>, CallError> {
        let request = authorized(request, token);
        self.finish(self.grpc.clone().list_users(request).await)
    }

    /// One page of a user's orders, newest first.
    ///
    /// # Errors
    /// See [`CallError`]; NOT_FOUND also for a user that the caller may not see.
    pub async fn get_user_orders(
        &self,
        token: &str,
        request: GetUserOrdersRequest,
    ) -> Result<GetUserOrdersResponse, CallError> {
        let request = authorized(request, token);
        self.finish(self.grpc.clone().get_user_orders(request).await)
    }

    /// Exchanges an email and a password for a token, for a client at this address.
    ///
    /// # Errors
    /// See [`CallError`]; UNAUTHENTICATED, RESOURCE_EXHAUSTED with a `QuotaFailure` after too many wrong passwords.
    pub async fn authenticate(
        &self,
        credentials: AuthenticateRequest,
        client: Option<IpAddr>,
    ) -> Result<AuthenticateResponse, CallError> {
        let credentials = AuthenticateRequest {
            email: cut(credentials.email),
            password: cut(credentials.password),
            ..credentials
        };
        let request = on_behalf_of(credentials, client);
        self.finish(self.grpc.clone().authenticate(request).await)
    }

    /// The public keys that tokens are checked with.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_keys(&self) -> Result<GetKeysResponse, CallError> {
        self.finish(self.grpc.clone().get_keys(GetKeysRequest {}).await)
    }

    fn finish<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, CallError> {
        answer
            .map(Response::into_inner)
            .map_err(|status| CallError::from_status(self.peer, status))
    }
}

/// The beginning of a text that is too long for any field. It is too long, too, so that it is refused for the same reason.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(FIELD_BYTES_MAX));
    text
}

/// A call that carries nobody's token: users counts attempts by the client's address, if it believes us (`TRUSTED_PROXIES`),
/// and else by ours.
fn on_behalf_of<T>(message: T, client: Option<IpAddr>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(address) = client.and_then(|client| client.to_string().parse().ok()) {
        request.metadata_mut().insert("x-forwarded-for", address);
    }
    request
}
