//! Accounts and identity (gRPC).

use client::{CallError, GrpcChannel, Monitor, Peer, authorized};
use tonic::{Response, Status, Streaming};

use crate::users::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, GetKeysRequest, GetKeysResponse,
    GetUserOrdersRequest, GetUserOrdersResponse, GetUserRequest, ListUsersRequest, User,
    user_service_client::UserServiceClient,
};

/// The methods that can be done twice. `CreateUser` is not among them: the second of two would be told that the email is taken.
const REPEATABLE: &[&str] = &[
    "GetUser",
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

    /// Signs a customer up.
    ///
    /// # Errors
    /// See [`CallError`]; ALREADY_EXISTS, INVALID_ARGUMENT with field violations.
    pub async fn create_user(&self, new_user: CreateUserRequest) -> Result<User, CallError> {
        self.finish(self.grpc.clone().create_user(new_user).await)
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

    /// Exchanges an email and a password for a token.
    ///
    /// # Errors
    /// See [`CallError`]; UNAUTHENTICATED.
    pub async fn authenticate(
        &self,
        credentials: AuthenticateRequest,
    ) -> Result<AuthenticateResponse, CallError> {
        self.finish(self.grpc.clone().authenticate(credentials).await)
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
