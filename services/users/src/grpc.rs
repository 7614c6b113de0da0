//! The gRPC door: decode, call, encode.

mod batch;
mod orders;

use std::pin::Pin;
use std::time::Duration;

use chassis::{
    auth::{Caller, grpc_caller},
    grpc::Methods,
    proxies::TrustedProxies,
};
use chrono::{DateTime, Utc};
use contracts::{
    clients::Orders,
    users::v1::{
        AuthenticateRequest, AuthenticateResponse, CreateUserRequest, FILE_DESCRIPTOR_SET,
        GetKeysRequest, GetKeysResponse, GetUserOrdersRequest, GetUserOrdersResponse,
        GetUserRequest, GetUsersRequest, GetUsersResponse, Key, ListUsersRequest, User,
        user_service_server::{UserService, UserServiceServer},
    },
};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use prost_types::Timestamp;
use resilience::deadline::Deadline;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

use crate::{
    accounts::Accounts,
    domain::{self, NewUser, Password, Violation},
    error::Error,
    listing,
    origin::Origin,
    store,
};

/// The longest request, in bytes: any JSON body that the gateway accepts fits into a message of this size and reaches
/// this service, so that the caller is told which of its fields is too long.
const MAX_REQUEST_BYTES: usize = contracts::limits::BODY_BYTES_MAX;

/// The gRPC interface of the users service.
#[derive(Debug, Clone)]
pub(crate) struct UserApi {
    /// Sign-up and sign-in.
    pub(crate) accounts: Accounts,
    /// The client of the orders service.
    pub(crate) orders: Orders,
    /// The time limit of a call of `orders`, unless our own caller's deadline is shorter.
    pub(crate) orders_patience: Duration,
    /// The proxies whose statements about a client's address are believed.
    pub(crate) proxies: TrustedProxies,
}

/// All services of the gRPC port: the users service, its health, and reflection in both versions that tools use.
pub(crate) async fn routes(api: UserApi) -> Result<axum::Router, tonic_reflection::server::Error> {
    let service = UserServiceServer::new(api).max_decoding_message_size(MAX_REQUEST_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<UserServiceServer<UserApi>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(service)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router())
}

/// The methods that [`routes`] serves, for metrics.
///
/// # Errors
/// If the descriptors that were compiled in cannot be decoded.
pub(crate) fn methods() -> Result<Methods, chassis::Fatal> {
    Methods::of(&[
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
    .map_err(chassis::Fatal::from)
}

#[tonic::async_trait]
impl UserService for UserApi {
    type ListUsersStream = Pin<Box<dyn Stream<Item = Result<User, Status>> + Send>>;

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let caller = grpc_caller(&request)?;
        let id = visible_user(caller, &request.get_ref().user_id)?;
        Ok(Response::new(self.existing(id).await?.into_wire()))
    }

    async fn get_users(
        &self,
        request: Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        let caller = grpc_caller(&request)?;
        let ids = batch::visible(caller, &request.get_ref().user_ids)?;
        let found = store::users(&self.accounts.pool, &ids)
            .await
            .map_err(Error::from)?;
        let users = batch::in_order(&ids, found).map(IntoWire::into_wire);
        Ok(Response::new(GetUsersResponse {
            users: users.collect(),
        }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        let origin = Origin::of(&request, &self.proxies);
        let CreateUserRequest {
            email,
            name,
            password,
        } = request.into_inner();
        let new = NewUser::parse(&email, &name, &password).map_err(Error::Invalid)?;
        let user = self.accounts.sign_up(origin, new).await?;
        Ok(Response::new(user.into_wire()))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        if !grpc_caller(&request)?.is_admin() {
            return Err(Error::NotAdmin.into());
        }
        let asked = request.get_ref();
        let limit = limit(asked.limit)?;
        // Not more rows than are asked for.
        let rows = page_rows(asked.page_size)?.min(limit);
        let after = after(&asked.after_user_id)?;
        let pool = self.accounts.pool.clone();
        let users = listing::users(after, rows, move |after, limit| {
            let pool = pool.clone();
            async move {
                let page = store::page(&pool, after, limit).await?;
                metrics::counter!("users_listed_rows_total").increment(page.len() as u64);
                Ok::<_, Error>(page)
            }
        });
        Ok(Response::new(Box::pin(
            users
                .take(limit as usize)
                .map_ok(IntoWire::into_wire)
                .map_err(Status::from),
        )))
    }

    async fn get_user_orders(
        &self,
        request: Request<GetUserOrdersRequest>,
    ) -> Result<Response<GetUserOrdersResponse>, Status> {
        let caller = grpc_caller(&request)?;
        let asked = request.get_ref();
        let page_size = orders::page_size(asked.page_size)?;
        let id = visible_user(caller, &asked.user_id)?;
        // An admin may ask for any user, including one that never existed.
        self.existing(id).await?;
        let page_token = orders::page_token(&asked.page_token)?;
        let ours = Deadline::after(self.orders_patience);
        let hurried = Deadline::current().is_some_and(|callers| callers < ours);
        let page = self
            .orders
            .of_user(&caller.token, id, Some(page_size), page_token)
            .await
            .map_err(|error| orders::refusal(error, hurried))?;
        Ok(Response::new(orders::to_wire(page)))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let origin = Origin::of(&request, &self.proxies);
        let AuthenticateRequest {
            email,
            password,
            expires_in,
        } = request.into_inner();
        let password = Password::claimed(password);
        let lifetime = (expires_in > 0).then(|| Duration::from_secs(expires_in.into()));
        let session = self
            .accounts
            .sign_in(origin, &email, password, lifetime)
            .await?;
        Ok(Response::new(AuthenticateResponse {
            access_token: session.access_token,
            token_type: "Bearer".to_owned(),
            // At most a day, by the configuration.
            expires_in: session.expires_in_s.cast_signed(),
        }))
    }

    async fn get_keys(
        &self,
        _request: Request<GetKeysRequest>,
    ) -> Result<Response<GetKeysResponse>, Status> {
        let published = self.accounts.keyring.published();
        let keys = published.iter().map(|key| Key {
            kid: key.kid.clone(),
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.public_x.clone(),
            alg: "EdDSA".to_owned(),
            r#use: "sig".to_owned(),
        });
        Ok(Response::new(GetKeysResponse {
            keys: keys.collect(),
        }))
    }
}

impl UserApi {
    async fn existing(&self, id: Uuid) -> Result<domain::User, Error> {
        store::user(&self.accounts.pool, id)
            .await?
            .ok_or(Error::NotFound)
    }
}

/// The id, if the caller may see that user. The id of another user, an unused one and an invalid one get the same
/// answer, so that it does not reveal which of them it was.
fn visible_user(caller: &Caller, user_id: &str) -> Result<Uuid, Error> {
    if user_id.is_empty() {
        return Err(Error::Invalid(vec![Violation {
            field: "user_id",
            description: "must be set",
        }]));
    }
    match Uuid::try_parse(user_id) {
        Ok(id) if caller.may_see(id) => Ok(id),
        _ => Err(Error::NotFound),
    }
}

/// The number of users to read at a time.
fn page_rows(asked: i32) -> Result<u32, Error> {
    match u32::try_from(asked) {
        Ok(0) => Ok(listing::DEFAULT_PAGE_ROWS),
        Ok(rows) if rows <= listing::MAX_PAGE_ROWS => Ok(rows),
        _ => Err(Error::Invalid(vec![Violation {
            field: "page_size",
            description: "must be between 1 and 1000, or 0 for the default",
        }])),
    }
}

/// How many users in all.
fn limit(asked: i32) -> Result<u32, Error> {
    match u32::try_from(asked) {
        Ok(0) => Ok(u32::MAX),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Error::Invalid(vec![Violation {
            field: "limit",
            description: "must not be negative",
        }])),
    }
}

/// The user behind whom a list begins.
fn after(user_id: &str) -> Result<Option<Uuid>, Error> {
    if user_id.is_empty() {
        return Ok(None);
    }
    let id = Uuid::try_parse(user_id).map_err(|_| {
        Error::Invalid(vec![Violation {
            field: "after_user_id",
            description: "must be a UUID",
        }])
    })?;
    Ok(Some(id))
}

/// From our types to those of the wire.
trait IntoWire {
    type Wire;

    fn into_wire(self) -> Self::Wire;
}

impl IntoWire for domain::User {
    type Wire = User;

    fn into_wire(self) -> User {
        User {
            id: self.id.to_string(),
            email: self.email,
            name: self.name,
            created_at: Some(timestamp(self.created_at)),
        }
    }
}

/// A time as Protobuf represents it.
fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // Less than a second plus a leap second, so that it fits.
        nanos: time.timestamp_subsec_nanos().min(999_999_999).cast_signed(),
    }
}
