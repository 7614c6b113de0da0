//! A hostile customer: where they come from, whom they are, and what the names in a case mean to them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::users::v1 as pb;
use prost::Message as _;
use scenarios::embedded::Embedded;
use scenarios::hostile::forged;
use scenarios::{Customer, Marketplace, net};
use serde_json::{Value, json};
use uuid::Uuid;

use super::cases::{Body, Case, Speaks, Token};

/// How long an answer may take before the client gives up and says so: above every deadline of the shop.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A valid document: through the gateway to users, orders and products.
const QUERY: &str =
    "{ me { id orders(first: 10) { edges { node { id status items { product { name } } } } } } }";

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The connection or the stream ended without one.
    None(String),
    /// The client did not wait for it.
    Left,
    /// The client has waited long enough.
    Late,
    Http {
        status: u16,
        retry_after: bool,
    },
    Grpc {
        code: u16,
        message: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) from: IpAddr,
    pub(super) gateway: SocketAddr,
    pub(super) users: SocketAddr,
    me: Customer,
    other: Customer,
    product: String,
    order: String,
}

impl Client {
    pub(super) fn new(marketplace: &Embedded, from: IpAddr) -> Self {
        let shop = marketplace.shop();
        let (me, other) = (shop.customer(), shop.customer());
        let goods = shop.catalogue();
        let most = goods.iter().max_by_key(|p| p["available"].as_i64());
        let product = most.and_then(|p| p["id"].as_str()).expect("goods");
        Self {
            from,
            gateway: net::address(&marketplace.endpoint("gateway")),
            users: net::address(&marketplace.endpoint("users")),
            order: shop.order(&me, product, 1).expect(201).id(),
            me,
            other,
            product: product.to_owned(),
        }
    }

    pub(super) fn door(&self, case: &Case) -> SocketAddr {
        match case.speaks {
            Speaks::Grpc => self.users,
            Speaks::Http1 | Speaks::Http2 => self.gateway,
        }
    }

    fn fill_in(&self, text: &str) -> String {
        text.replace("{me}", &self.me.id)
            .replace("{other}", &self.other.id)
            .replace("{product}", &self.product)
            .replace("{order}", &self.order)
    }

    /// Path and query.
    pub(super) fn target(&self, case: &Case) -> String {
        let mut target = match case.speaks {
            Speaks::Grpc => format!("/agora.users.v1.UserService/{}", case.path),
            Speaks::Http1 | Speaks::Http2 => self.fill_in(case.path),
        };
        for (index, (name, value)) in case.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&value.in_query());
        }
        target
    }

    /// Names and values, but for what frames the message. Values hold no end of a line, and else anything.
    pub(super) fn headers(&self, case: &Case) -> Vec<(String, Vec<u8>)> {
        let mut headers: Vec<_> = case
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.in_header()))
            .collect();
        if let Some(token) = self.token(&case.token) {
            let value = [b"Bearer ", &token[..]].concat();
            headers.push(("authorization".to_owned(), value));
        }
        let kind = match case.speaks {
            Speaks::Grpc => "application/grpc",
            Speaks::Http1 | Speaks::Http2 => "application/json",
        };
        if !matches!(case.body, Body::None) && headers.iter().all(|(n, _)| n != "content-type") {
            headers.push(("content-type".to_owned(), kind.into()));
        }
        headers
    }

    pub(super) fn sign_in(&self) -> Vec<u8> {
        self.fitting("/sessions", None).to_string().into_bytes()
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.me.token)
    }

    fn token(&self, token: &Token) -> Option<Vec<u8>> {
        match token {
            Token::None => None,
            Token::Own => Some(self.me.token.clone().into_bytes()),
            Token::Other => Some(self.other.token.clone().into_bytes()),
            Token::Expired => Some(expired(&self.me.token).into_bytes()),
            Token::Forged => Some(forged(&self.me.token).into_bytes()),
            Token::Bad(text) => Some(text.in_header()),
        }
    }

    pub(super) fn body(&self, case: &Case) -> Vec<u8> {
        if case.speaks == Speaks::Grpc {
            return self.message(case);
        }
        match &case.body {
            Body::None => Vec::new(),
            Body::Fitting => self.fitting(case.path, None).to_string().into_bytes(),
            Body::Json(text) => self.fill_in(text).into_bytes(),
            Body::Field(text) => {
                let text = String::from_utf8_lossy(&text.bytes()).into_owned();
                self.fitting(case.path, Some(&text))
                    .to_string()
                    .into_bytes()
            }
            Body::Bytes(text) => text.bytes(),
        }
    }

    fn fitting(&self, path: &str, field: Option<&str>) -> Value {
        if path.ends_with("/sessions") {
            json!({"email": self.me.email, "password": field.unwrap_or(&self.me.password)})
        } else if path.ends_with("/graphql") {
            json!({"query": field.unwrap_or(QUERY)})
        } else if path.ends_with("/users") {
            let email = format!("{}@example.org", Uuid::new_v4().simple());
            let name = field.unwrap_or("Mallory Example");
            json!({"email": email, "name": name, "password": "correct horse battery"})
        } else {
            let product = field.unwrap_or(&self.product);
            json!({"items": [{"product_id": product, "quantity": 1}]})
        }
    }

    /// A gRPC message with its prefix of five bytes.
    fn message(&self, case: &Case) -> Vec<u8> {
        let (id, field) = match &case.body {
            Body::Field(text) => (self.me.id.clone(), Some(text)),
            Body::Bytes(text) => return framed(text.bytes()),
            Body::Json(text) => return text.as_bytes().to_vec(),
            Body::None => return Vec::new(),
            Body::Fitting => (self.me.id.clone(), None),
        };
        let field = field.map(|text| String::from_utf8_lossy(&text.bytes()).into_owned());
        let page_token = match (field.clone(), case.query.first()) {
            (Some(field), _) => field,
            (None, Some((_, text))) => text.in_query(),
            (None, None) => String::new(),
        };
        let email = self.me.email.clone();
        let password = self.me.password.clone();
        framed(match case.path {
            "GetUser" => pb::GetUserRequest {
                user_id: field.unwrap_or(id),
            }
            .encode_to_vec(),
            "GetUsers" => pb::GetUsersRequest {
                user_ids: vec![field.unwrap_or(id); 3],
            }
            .encode_to_vec(),
            "GetUserOrders" => pb::GetUserOrdersRequest {
                user_id: id,
                page_size: 5,
                page_token,
            }
            .encode_to_vec(),
            "Authenticate" => pb::AuthenticateRequest {
                email,
                password: field.unwrap_or(password),
                expires_in: 0,
            }
            .encode_to_vec(),
            "CreateUser" => pb::CreateUserRequest {
                email: format!("{}@example.org", Uuid::new_v4().simple()),
                name: field.unwrap_or_else(|| "Mallory Example".to_owned()),
                password,
            }
            .encode_to_vec(),
            _ => Vec::new(),
        })
    }
}

fn framed(message: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

fn expired(token: &str) -> String {
    let parts: Vec<_> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
    let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["exp"] = json!(1_000_000_000);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{}.{claims}.{}", parts[0], parts[2])
}
