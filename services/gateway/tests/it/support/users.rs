//! The users service, as far as a gateway can tell.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::identity::CUSTOMER;
use contracts::users::v1::user_service_server::{UserService, UserServiceServer};
use contracts::users::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, GetKeysRequest, GetKeysResponse,
    GetUserOrdersRequest, GetUserOrdersResponse, GetUserRequest, GetUsersRequest, GetUsersResponse,
    ListUsersRequest, Order, OrderItem, User,
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use super::{Issuer, token_for};

/// What the fake does, and what it saw.
#[derive(Default)]
pub(crate) struct FakeUsers {
    /// Users in the list.
    pub(crate) listed: usize,
    /// Users of the list that were asked for so far.
    pub(crate) produced: AtomicUsize,
    /// How many users each ListUsers asked for, at most.
    pub(crate) lists: Mutex<Vec<i32>>,
    /// Each user of a list waits for a permit.
    pub(crate) list_gate: Option<Arc<Semaphore>>,
    /// The list breaks off after this many.
    pub(crate) breaks_after: Option<usize>,
    /// How often the keys were asked for.
    pub(crate) keys_asked: AtomicUsize,
    /// How often a user was asked for, and how often several or a list of them.
    pub(crate) users_asked: AtomicUsize,
    /// How many users each GetUsers named.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// GetUser and GetUsers never answer.
    pub(crate) hangs: bool,
    /// `traceparent` of the last GetUser.
    pub(crate) traceparent: Mutex<Option<String>>,
    /// `x-forwarded-for` of the last CreateUser or Authenticate.
    pub(crate) forwarded_for: Mutex<Option<Vec<String>>>,
}

#[derive(Clone)]
struct Served(Arc<FakeUsers>);

impl FakeUsers {
    /// Serves on a free port.
    pub(crate) async fn serve(self) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (address, self.serve_on(listener))
    }

    pub(crate) fn serve_on(self, listener: TcpListener) -> Arc<Self> {
        let fake = Arc::new(self);
        let service = UserServiceServer::new(Served(Arc::clone(&fake)));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move { serving.await.unwrap() });
        fake
    }
}

impl FakeUsers {
    fn note_client<T>(&self, request: &Request<T>) {
        let all = request.metadata().get_all("x-forwarded-for").iter();
        let all = all.map(|value| value.to_str().unwrap().to_owned());
        *self.forwarded_for.lock() = Some(all.collect());
    }

    /// The n-th user of the list.
    fn produce(&self, n: usize) -> Result<User, Status> {
        self.produced.fetch_add(1, Ordering::Relaxed);
        if self.breaks_after.is_some_and(|limit| n >= limit) {
            return Err(Status::internal("the stream broke"));
        }
        Ok(User {
            name: format!("{n:0>1000}"),
            ..user(Uuid::from_u128(n as u128).to_string())
        })
    }
}

fn user(id: String) -> User {
    let created_at = Some(Timestamp {
        seconds: 1_700_000_000,
        nanos: 500_000_000,
    });
    User {
        id,
        email: "ann@example.org".to_owned(),
        name: "Ann".to_owned(),
        created_at,
    }
}

/// The token that came with a call must be good: the gateway has to pass it on.
fn signed_in<T>(request: &Request<T>) -> Result<(), Status> {
    let token = request
        .metadata()
        .get("authorization")
        .and_then(|v| v.to_str().ok());
    match token {
        Some(token) if token.starts_with("Bearer ey") => Ok(()),
        _ => Err(Status::unauthenticated("no token came along")),
    }
}

#[tonic::async_trait]
impl UserService for Served {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        signed_in(&request)?;
        let traceparent = request
            .metadata()
            .get("traceparent")
            .map(|value| value.to_str().unwrap().to_owned());
        *self.0.traceparent.lock() = traceparent;
        self.0.users_asked.fetch_add(1, Ordering::Relaxed);
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        let id = request.into_inner().user_id;
        if id == Uuid::nil().to_string() {
            return Err(Status::not_found("no such user"));
        }
        Ok(Response::new(user(id)))
    }

    async fn get_users(
        &self,
        request: Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        signed_in(&request)?;
        self.0.users_asked.fetch_add(1, Ordering::Relaxed);
        if self.0.hangs {
            std::future::pending::<()>().await;
        }
        let ids = request.into_inner().user_ids;
        self.0.batches.lock().push(ids.len());
        let known = ids.into_iter().filter(|id| *id != Uuid::nil().to_string());
        Ok(Response::new(GetUsersResponse {
            users: known.map(user).collect(),
        }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        self.0.note_client(&request);
        let new = request.into_inner();
        match new.email.as_str() {
            "taken@example.org" => Err(Status::already_exists("this email is taken")),
            "quota@example.org" => {
                let mut details = ErrorDetails::with_retry_info(Some(Duration::from_secs(9)));
                details.add_quota_failure_violation("sign-ups", "5 in 60 s");
                let exhausted = tonic::Code::ResourceExhausted;
                Err(Status::with_error_details(exhausted, "slow down", details))
            }
            "range@example.org" => {
                let details = ErrorDetails::with_bad_request_violation("name", "too long");
                let range = tonic::Code::OutOfRange;
                Err(Status::with_error_details(range, "invalid", details))
            }
            email if email.starts_with("code-") => {
                let code = email
                    .trim_start_matches("code-")
                    .trim_end_matches("@example.org");
                let code = tonic::Code::from_i32(code.parse().unwrap());
                Err(Status::new(code, format!("the message of {code:?}")))
            }
            "crash@example.org" => Err(Status::internal("secret: the disk is full")),
            "busy@example.org" => {
                let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
                Err(Status::with_error_details(
                    tonic::Code::ResourceExhausted,
                    "busy",
                    details,
                ))
            }
            email if !email.contains('@') => {
                let mut details = ErrorDetails::new();
                details.add_bad_request_violation("email", "an email address is needed");
                details.add_bad_request_violation("password", "8 to 128 characters");
                Err(Status::with_error_details(
                    tonic::Code::InvalidArgument,
                    "invalid",
                    details,
                ))
            }
            _ => Ok(Response::new(User {
                email: new.email,
                name: new.name,
                ..user(Uuid::now_v7().to_string())
            })),
        }
    }

    type ListUsersStream = Pin<Box<dyn Stream<Item = Result<User, Status>> + Send>>;

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        signed_in(&request)?;
        let fake = Arc::clone(&self.0);
        fake.users_asked.fetch_add(1, Ordering::Relaxed);
        let ListUsersRequest {
            after_user_id,
            limit,
            ..
        } = request.into_inner();
        let after: Option<Uuid> = after_user_id.parse().ok();
        let first = after.map_or(0, |id| id.as_u128() as usize + 1);
        let end = match limit {
            0 => fake.listed,
            limit => fake.listed.min(first + limit as usize),
        };
        fake.lists.lock().push(limit);
        let users = futures::stream::iter(first..end).then(move |n| {
            let fake = Arc::clone(&fake);
            async move {
                if let Some(gate) = &fake.list_gate {
                    gate.acquire().await.unwrap().forget();
                }
                fake.produce(n)
            }
        });
        Ok(Response::new(Box::pin(users)))
    }

    async fn get_user_orders(
        &self,
        request: Request<GetUserOrdersRequest>,
    ) -> Result<Response<GetUserOrdersResponse>, Status> {
        signed_in(&request)?;
        let request = request.into_inner();
        if request.page_token == "bad" {
            let details =
                ErrorDetails::with_bad_request_violation("page_token", "it is not one of ours");
            return Err(Status::with_error_details(
                tonic::Code::InvalidArgument,
                "invalid",
                details,
            ));
        }
        let time = Some(Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        });
        let item = OrderItem {
            product_id: Uuid::nil().to_string(),
            quantity: 2,
            unit_price: 250,
        };
        let order = Order {
            id: Uuid::max().to_string(),
            user_id: request.user_id,
            status: "pending".to_owned(),
            items: vec![item],
            total_amount: 500,
            currency: "EUR".to_owned(),
            created_at: time,
            updated_at: time,
            reason: String::new(),
        };
        let next_page_token = if request.page_token.is_empty() {
            format!("after-{}", request.page_size)
        } else {
            String::new()
        };
        Ok(Response::new(GetUserOrdersResponse {
            orders: vec![order],
            next_page_token,
        }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        self.0.note_client(&request);
        let request = request.into_inner();
        if request.email == "guessed@example.org" {
            let quota = chassis::grpc::Quota {
                name: "address",
                limit: 100,
                window: Duration::from_secs(60),
                retry_after: Duration::from_millis(7500),
            };
            return Err(chassis::grpc::exhausted("too many attempts", quota));
        }
        if request.email == "crowded@example.org" {
            let busy = chassis::grpc::unavailable("too many at once", Duration::from_secs(1));
            return Err(chassis::grpc::unrepeatable(busy));
        }
        if request.password != "correct horse" {
            return Err(Status::unauthenticated("email or password is wrong"));
        }
        let access_token = token_for(Uuid::max(), CUSTOMER);
        Ok(Response::new(AuthenticateResponse {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in: match request.expires_in {
                0 => 900,
                asked => asked.into(),
            },
        }))
    }

    async fn get_keys(
        &self,
        _: Request<GetKeysRequest>,
    ) -> Result<Response<GetKeysResponse>, Status> {
        self.0.keys_asked.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(GetKeysResponse {
            keys: vec![Issuer::TRUSTED.public_key()],
        }))
    }
}
