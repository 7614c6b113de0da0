//! The users service, as far as products needs it: it publishes the keys of tokens.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::{AUDIENCE, ISSUER};
use contracts::users::v1 as wire;
use contracts::users::v1::user_service_server::{UserService, UserServiceServer};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

const KEY_ID: &str = "test-key";

/// What stands before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Signs tokens, and serves the key that they are checked with until it is dropped.
pub(crate) struct FakeUsers {
    pub(crate) address: SocketAddr,
    key: SigningKey,
    server: tokio::task::JoinHandle<()>,
}

impl FakeUsers {
    pub(crate) async fn start() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Keys(URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()));
        let serve = tonic::transport::Server::builder()
            .add_service(UserServiceServer::new(keys))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serve.await.unwrap() });
        Self {
            address,
            key,
            server,
        }
    }

    /// A token of some customer, valid for a minute.
    pub(crate) fn token(&self) -> String {
        sign(&self.key)
    }

    /// A token that says it was signed with the key, and was not.
    pub(crate) fn forged_token(&self) -> String {
        sign(&SigningKey::from_bytes(&[8; 32]))
    }
}

impl Drop for FakeUsers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn sign(key: &SigningKey) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "sub": Uuid::now_v7(), "role": "customer", "iss": ISSUER, "aud": AUDIENCE,
        "iat": now.as_secs(), "exp": (now + Duration::from_secs(60)).as_secs(),
    });
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let key = EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], key.as_bytes()].concat());
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
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
