//! The gRPC methods, as the descriptors have them.

use std::collections::BTreeSet;

use contracts::products::v1 as products;
use contracts::products::v1::catalog_service_client::CatalogServiceClient;
use contracts::users::v1 as users;
use contracts::users::v1::user_service_client::UserServiceClient;
use prost::Message;
use prost_types::FileDescriptorSet;
use scenarios::Marketplace;
use scenarios::embedded::Embedded;
use tonic::Code::{self, NotFound, Ok, PermissionDenied, Unauthenticated};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::rest::sign_up;
use super::{CALLERS, Cast};

/// It makes no difference who asks.
const OPEN: [Code; 6] = [Ok; 6];
/// The owner's; for others it does not exist.
const OWNERS: [Code; 6] = [
    Unauthenticated,
    Unauthenticated,
    Unauthenticated,
    NotFound,
    Ok,
    Ok,
];
const SIGNED_IN: [Code; 6] = [
    Unauthenticated,
    Unauthenticated,
    Unauthenticated,
    Ok,
    Ok,
    Ok,
];
const ADMINS: [Code; 6] = [
    Unauthenticated,
    Unauthenticated,
    Unauthenticated,
    PermissionDenied,
    PermissionDenied,
    Ok,
];

/// A method and the code that each of [`CALLERS`] gets.
const ROWS: &[(&str, [Code; 6])] = &[
    ("agora.users.v1.UserService/GetUser", OWNERS),
    ("agora.users.v1.UserService/GetUsers", OWNERS),
    ("agora.users.v1.UserService/CreateUser", OPEN),
    ("agora.users.v1.UserService/ListUsers", ADMINS),
    ("agora.users.v1.UserService/GetUserOrders", OWNERS),
    ("agora.users.v1.UserService/Authenticate", OPEN),
    ("agora.users.v1.UserService/GetKeys", OPEN),
    ("agora.products.v1.CatalogService/Quote", SIGNED_IN),
    ("agora.products.v1.CatalogService/GetProducts", OPEN),
];

pub(super) fn check(marketplace: &Embedded, cast: &Cast) {
    let listed: BTreeSet<_> = ROWS
        .iter()
        .map(|(method, _)| (*method).to_owned())
        .collect();
    assert_eq!(declared(), listed, "each method has its row");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let wrong = runtime.block_on(async {
        let doors = Doors {
            users: UserServiceClient::new(connected(marketplace, "users").await),
            catalog: CatalogServiceClient::new(connected(marketplace, "products_grpc").await),
        };
        let mut wrong = Vec::new();
        for (method, expected) in ROWS {
            for ((caller, token), expected) in CALLERS.iter().zip(&cast.callers).zip(expected) {
                let code = doors.clone().call(method, cast, token.as_deref()).await;
                if code != *expected {
                    wrong.push(format!("{method}, {caller}: {code:?} and not {expected:?}"));
                }
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every method of the shop's own packages.
fn declared() -> BTreeSet<String> {
    let sets = [users::FILE_DESCRIPTOR_SET, products::FILE_DESCRIPTOR_SET];
    let files = sets
        .into_iter()
        .flat_map(|set| FileDescriptorSet::decode(set).expect("descriptors").file);
    let mut methods = BTreeSet::new();
    for file in files {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            methods.extend(
                service
                    .method
                    .iter()
                    .map(|method| format!("{service_name}/{}", method.name())),
            );
        }
    }
    methods
}

async fn connected(marketplace: &Embedded, service: &str) -> Channel {
    let channel = Channel::from_shared(marketplace.endpoint(service)).expect("a URL");
    channel.connect().await.expect("a door")
}

#[derive(Clone)]
struct Doors {
    users: UserServiceClient<Channel>,
    catalog: CatalogServiceClient<Channel>,
}

impl Doors {
    async fn call(mut self, method: &str, cast: &Cast, token: Option<&str>) -> Code {
        let user_id = cast.owner.id.clone();
        match method.rsplit('/').next().expect("a name") {
            "GetUser" => {
                let request = users::GetUserRequest { user_id };
                code(self.users.get_user(signed(request, token)).await)
            }
            // Whom the caller may not see is left out, which is this method's way to say NOT_FOUND.
            "GetUsers" => {
                let request = users::GetUsersRequest {
                    user_ids: vec![user_id],
                };
                let answer = self.users.get_users(signed(request, token)).await;
                match answer {
                    Result::Ok(answer) if answer.get_ref().users.is_empty() => NotFound,
                    answer => code(answer),
                }
            }
            "CreateUser" => {
                let new = sign_up();
                let text = |field: &str| new[field].as_str().expect("text").to_owned();
                let request = users::CreateUserRequest {
                    email: text("email"),
                    name: text("name"),
                    password: text("password"),
                };
                code(self.users.create_user(signed(request, token)).await)
            }
            "ListUsers" => {
                let request = users::ListUsersRequest::default();
                code(self.users.list_users(signed(request, token)).await)
            }
            "GetUserOrders" => {
                let request = users::GetUserOrdersRequest {
                    user_id,
                    ..Default::default()
                };
                code(self.users.get_user_orders(signed(request, token)).await)
            }
            "Authenticate" => {
                let request = users::AuthenticateRequest {
                    email: cast.owner.email.clone(),
                    password: cast.owner.password.clone(),
                    expires_in: 0,
                };
                code(self.users.authenticate(signed(request, token)).await)
            }
            "GetKeys" => code(
                self.users
                    .get_keys(signed(users::GetKeysRequest {}, token))
                    .await,
            ),
            "Quote" => {
                let product_ids = vec![cast.product.clone()];
                let request = products::QuoteRequest { product_ids };
                code(self.catalog.quote(signed(request, token)).await)
            }
            "GetProducts" => {
                let ids = vec![cast.product.clone()];
                let request = products::GetProductsRequest { ids };
                code(self.catalog.get_products(signed(request, token)).await)
            }
            other => panic!("{other} has a row and is not called"),
        }
    }
}

/// A call on behalf of a token's user, if there is one.
fn signed<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().expect("ASCII");
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Ok, |status| status.code())
}
