//! Many requests that are whole and wrong, so many a second.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::users::v1::AuthenticateRequest;
use contracts::users::v1::user_service_client::UserServiceClient;
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use super::{AGAIN, Attacker};
use crate::net::Http1;

/// Requests under way at once.
const LANES: usize = 32;
/// How often the lanes are given their share of a rate.
const TICK: Duration = Duration::from_millis(50);

const FORGED_A_SECOND: usize = 1_280;
/// More than may wait for new keys at a verifier (64): the others are what floods.
const FORGED_LANES: usize = 256;
const UNKNOWN_A_SECOND: usize = 169;
const MADE_UP_A_SECOND: usize = 400;
const OWN_LANES: usize = 16;

/// A token like another one, of a key that does not exist.
///
/// # Panics
/// When the other one is no token.
#[must_use]
pub fn forged(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("a token's claims");
    let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": Uuid::new_v4().to_string()});
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let signature: [u8; 64] = rand::random();
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Attacker {
    pub(super) fn forged_keys(&self, tasks: &mut JoinSet<()>) {
        let turns = rate(tasks, FORGED_A_SECOND);
        for _ in 0..FORGED_LANES {
            let (attacker, turns) = (self.clone(), Arc::clone(&turns));
            tasks.spawn(async move {
                let make = |attacker: &Self| {
                    let bearer = format!("Bearer {}", forged(&attacker.customer.token));
                    Sent::get("/api/users/me".to_owned(), bearer)
                };
                attacker.over_http(Some(&turns), make).await;
            });
        }
    }

    pub(super) fn unknown_sign_ins(&self, tasks: &mut JoinSet<()>) {
        let turns = rate(tasks, UNKNOWN_A_SECOND);
        for lane in 0..LANES {
            let (attacker, turns) = (self.clone(), Arc::clone(&turns));
            if lane % 2 == 0 {
                tasks.spawn(async move {
                    let make = |_: &Self| Sent::sign_in(&unknown(), "not the password");
                    attacker.over_http(Some(&turns), make).await;
                });
            } else {
                tasks.spawn(async move { attacker.guesses_over_grpc(&turns).await });
            }
        }
    }

    pub(super) fn own_sign_ins(&self, tasks: &mut JoinSet<()>) {
        for _ in 0..OWN_LANES {
            let attacker = self.clone();
            tasks.spawn(async move {
                let make = |attacker: &Self| {
                    Sent::sign_in(&attacker.customer.email, &attacker.customer.password)
                };
                attacker.over_http(None, make).await;
            });
        }
    }

    pub(super) fn made_up_names(&self, tasks: &mut JoinSet<()>) {
        let turns = rate(tasks, MADE_UP_A_SECOND);
        for lane in 0..LANES / 2 {
            let (attacker, turns) = (self.clone(), Arc::clone(&turns));
            if lane % 2 == 0 {
                tasks.spawn(async move {
                    attacker.over_http(Some(&turns), |_| made_up()).await;
                });
            } else {
                tasks.spawn(async move { attacker.made_up_calls(&turns).await });
            }
        }
    }

    /// Requests over connections that are kept for as long as the server keeps them.
    async fn over_http(&self, turns: Option<&Semaphore>, make: impl Fn(&Self) -> Sent) {
        loop {
            let Ok(mut gateway) = Http1::open(self.from, self.gateway).await else {
                self.counts.count("not connected");
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            self.counts.count("connected");
            loop {
                take(turns).await;
                let sent = make(self);
                let headers: Vec<_> = sent.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let answer = gateway.call(&sent.method, &sent.path, &headers, sent.body);
                let Ok(answer) = answer.await else {
                    self.counts.count("closed");
                    break;
                };
                let status = answer.status().as_u16();
                self.counts.count(format!("answer {status}"));
                // Nobody is served faster who asks again at once.
                if matches!(status, 429 | 503) {
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }

    fn channel(&self) -> Channel {
        let users = format!("http://{}", self.users);
        let endpoint = Endpoint::from_shared(users).expect("an address");
        endpoint.local_address(Some(self.from)).connect_lazy()
    }

    async fn guesses_over_grpc(&self, turns: &Semaphore) {
        let mut users = UserServiceClient::new(self.channel());
        loop {
            take(Some(turns)).await;
            let guess = AuthenticateRequest {
                email: unknown(),
                password: "not the password".to_owned(),
                expires_in: 0,
            };
            let code = match users.authenticate(guess).await {
                Ok(_) => tonic::Code::Ok,
                Err(status) => status.code(),
            };
            self.counts.count(format!("answer {code:?}"));
        }
    }

    async fn made_up_calls(&self, turns: &Semaphore) {
        let mut grpc = Grpc::new(self.channel());
        loop {
            take(Some(turns)).await;
            if grpc.ready().await.is_err() {
                self.counts.count("not connected");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            let mut request = tonic::Request::new(());
            if rand::random() {
                let bearer = format!("Bearer {}", forged(&self.customer.token));
                let bearer = bearer.parse().expect("metadata");
                request.metadata_mut().insert("authorization", bearer);
            }
            let service = ["agora.users.v1.UserService", "a.b.C"][rand::rng().random_range(0..2)];
            let path = format!("/{service}/{}", Uuid::new_v4().simple());
            let path = path.parse().expect("a path");
            let codec = ProstCodec::<(), ()>::default();
            let code = match grpc.unary(request, path, codec).await {
                Ok(_) => tonic::Code::Ok,
                Err(status) => status.code(),
            };
            self.counts.count(format!("answer {code:?}"));
        }
    }
}

/// One request.
struct Sent {
    method: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn get(path: String, bearer: String) -> Self {
        Self {
            method: "GET".to_owned(),
            path,
            headers: vec![("authorization", bearer)],
            body: String::new(),
        }
    }

    fn sign_in(email: &str, password: &str) -> Self {
        let body: Value = json!({"email": email, "password": password});
        Self {
            method: "POST".to_owned(),
            path: "/api/sessions".to_owned(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }
}

fn unknown() -> String {
    format!("{}@example.net", Uuid::new_v4().simple())
}

/// A path, a method and a token that nobody has heard of.
fn made_up() -> Sent {
    let name = Uuid::new_v4().simple().to_string();
    let below = ["", "/api", "/api/orders", "/api/users", "/graphql"];
    let below = below[rand::rng().random_range(0..below.len())];
    Sent {
        method: format!("M{}", &name[..8]).to_uppercase(),
        ..Sent::get(format!("{below}/{name}"), format!("Bearer {name}"))
    }
}

/// Turns at a rate; those that nobody takes are not kept for later.
fn rate(tasks: &mut JoinSet<()>, per_second: usize) -> Arc<Semaphore> {
    let turns = Arc::new(Semaphore::new(0));
    let given = Arc::clone(&turns);
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        let mut count = 0;
        loop {
            ticks.tick().await;
            count += 1;
            let ticks_a_second = 1_000 / TICK.as_millis() as usize;
            let share =
                per_second * count / ticks_a_second - per_second * (count - 1) / ticks_a_second;
            given.forget_permits(given.available_permits());
            given.add_permits(share);
        }
    });
    turns
}

async fn take(turns: Option<&Semaphore>) {
    if let Some(turns) = turns {
        // The semaphore is never closed.
        if let Ok(turn) = turns.acquire().await {
            turn.forget();
        }
    }
}
