//! The users service, faked at the wire for the tests of others: it publishes the key that tokens are
//! checked with, and signs such tokens. And what their tests are held to: budgets, and documents. Only with the feature `testing`; never part of a service.

pub mod budget;
pub mod documented;

use std::net::SocketAddr;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::identity::{ADMIN, CUSTOMER, REALM};
use crate::users::v1 as wire;
use crate::users::v1::user_service_server::{UserService, UserServiceServer};

const KEY_ID: &str = "test-key";

/// How long a token is good for, in seconds.
const LIFETIME: i64 = 60;

/// Serves the key until it is dropped.
#[derive(Debug)]
pub struct FakeUsers {
    /// Where it serves gRPC.
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl FakeUsers {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let keys = Keys(URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes()));
        let serve = tonic::transport::Server::builder()
            .add_service(UserServiceServer::new(keys))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            server: tokio::spawn(async move { serve.await.expect("to serve") }),
        }
    }
}

impl Drop for FakeUsers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Someone {
    /// The user's id, the token's `sub`.
    pub id: Uuid,
    /// A token that is valid for a minute.
    pub token: String,
}

/// A new customer.
pub fn customer() -> Someone {
    let id = Uuid::now_v7();
    Someone {
        id,
        token: sign(&claims(id, CUSTOMER.as_str())),
    }
}

/// An admin.
pub fn admin() -> Someone {
    let id = Uuid::now_v7();
    Someone {
        id,
        token: sign(&claims(id, ADMIN.as_str())),
    }
}

/// What a good token of this user says.
pub fn claims(user_id: Uuid, role: &str) -> Value {
    let now = Utc::now().timestamp();
    json!({
        "sub": user_id, "role": role, "iss": REALM.issuer, "aud": REALM.audience, "iat": now, "exp": now + LIFETIME,
    })
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A token with the key that is published.
pub fn sign(claims: &Value) -> String {
    sign_with(&signing_key(), claims)
}

/// A token that names the published key, with an invalid signature.
pub fn forge(claims: &Value) -> String {
    sign_with(&SigningKey::from_bytes(&[8; 32]), claims)
}

/// A token with the algorithm `none`, without a signature.
pub fn unsigned(claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!(
        "{}.{}.",
        part(&json!({"alg": "none", "typ": "JWT", "kid": KEY_ID})),
        part(claims)
    )
}

fn sign_with(key: &SigningKey, claims: &Value) -> String {
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let key = EncodingKey::from_ed_der(key.to_pkcs8_der().expect("a key in PKCS #8").as_bytes());
    jsonwebtoken::encode(&header, claims, &key).expect("a token")
}

/// Answers with the public key, and with nothing else.
struct Keys(String);

#[tonic::async_trait]
impl UserService for Keys {
    type ListUsersStream = Pin<Box<dyn Stream<Item = Result<wire::User, Status>> + Send>>;

    async fn get_keys(
        &self,
        _: Request<wire::GetKeysRequest>,
    ) -> Result<Response<wire::GetKeysResponse>, Status> {
        let key = wire::Key {
            kid: KEY_ID.to_owned(),
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: self.0.clone(),
            alg: "EdDSA".to_owned(),
            r#use: "sig".to_owned(),
        };
        Ok(Response::new(wire::GetKeysResponse { keys: vec![key] }))
    }

    async fn get_user(
        &self,
        _: Request<wire::GetUserRequest>,
    ) -> Result<Response<wire::User>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_users(
        &self,
        _: Request<wire::GetUsersRequest>,
    ) -> Result<Response<wire::GetUsersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn create_user(
        &self,
        _: Request<wire::CreateUserRequest>,
    ) -> Result<Response<wire::User>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_users(
        &self,
        _: Request<wire::ListUsersRequest>,
    ) -> Result<Response<Self::ListUsersStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_user_orders(
        &self,
        _: Request<wire::GetUserOrdersRequest>,
    ) -> Result<Response<wire::GetUserOrdersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn authenticate(
        &self,
        _: Request<wire::AuthenticateRequest>,
    ) -> Result<Response<wire::AuthenticateResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
