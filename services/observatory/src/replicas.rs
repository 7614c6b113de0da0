//! The admin ports: each replica of each observed service, as discovery finds them.

use std::net::SocketAddr;

use chassis::admin::AdminToken;
use client::{
    Address, CallContext, ClientConfig, Discovery, HttpPool, Peer, RequestBody, RestClient,
};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::Observed;

/// The most replicas of one service that are looked at.
pub(crate) const REPLICAS_MAX: usize = 32;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How an admin port is called. What is wrong with it is what is to be seen, so nothing is tried again or held back.
const ASKED: &str =
    "deadline=2s,attempt=2s,connect=1s,retries=0,breaker=off,bulkhead=16+64/1s,idle=15s";

/// All observed services.
pub(crate) struct Replicas {
    services: Vec<Service>,
}

/// One of them.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) address: Address,
    pub(crate) discovery: Discovery,
    pub(crate) context: CallContext,
}

/// One admin port.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) service: &'static str,
    pub(crate) at: SocketAddr,
    pool: HttpPool,
    context: CallContext,
}

impl Replicas {
    pub(crate) fn new(observed: &Observed, token: Option<&AdminToken>) -> Self {
        let context = token.map_or_else(CallContext::default, |token| {
            CallContext::bearer(token.reveal())
        });
        let service = |(name, address): &(String, Address)| {
            // Clients keep the name of their peer for as long as the process lives. The list does, too.
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            Service {
                name,
                address: address.clone(),
                discovery: Discovery::new(name, address),
                context: context.clone(),
            }
        };
        Self {
            services: observed.0.iter().map(service).collect(),
        }
    }

    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    pub(crate) fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl Service {
    /// Its replicas as they are known now.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        let endpoints = self.discovery.snapshot().endpoints;
        endpoints
            .iter()
            .take(REPLICAS_MAX)
            .map(|at| self.replica(*at))
            .collect()
    }

    /// The replica at this address. It is called by the service's name, which its port knows.
    pub(crate) fn replica(&self, at: SocketAddr) -> Replica {
        self.replica_with(at, ASKED)
    }

    /// The same with other limits.
    pub(crate) fn replica_with(&self, at: SocketAddr, limits: &str) -> Replica {
        let config: ClientConfig = limits.parse().expect("a valid configuration");
        let peer = Peer::new(self.name, self.address.at(at), config).called_by(crate::NAME);
        Replica {
            service: self.name,
            at,
            pool: HttpPool::new(peer),
            context: self.context.clone(),
        }
    }
}

impl Replica {
    /// Its client, for streams.
    pub(crate) fn rest(&self) -> RestClient {
        RestClient::over(self.pool.clone())
    }

    /// `GET path` as text, with its status.
    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, String), String> {
        self.ask(Method::GET, path, None).await
    }

    /// `GET path` as JSON; `None` if there is nothing, or nothing that can be read.
    pub(crate) async fn json(&self, path: &str) -> Option<Value> {
        let (status, text) = self.get(path).await.ok()?;
        status
            .is_success()
            .then(|| serde_json::from_str(&text).ok())?
    }

    /// Calls a switch.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String), String> {
        let address = self.pool.peer().address.authority().clone();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, address.as_str());
        if let Some(token) = &self.context.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(RequestBody::whole(body))
            .map_err(|error| error.to_string())?;
        let answer = self
            .pool
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        // An answer that never ends is cut off; the client's own limit is for its head and for its pauses.
        let body = tokio::time::timeout(self.pool.peer().config.deadline, body);
        let body = body
            .await
            .map_err(|_| "its answer does not end".to_owned())?;
        let bytes = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}
