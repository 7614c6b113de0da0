//! The admin ports: each replica of each observed service, as discovery finds them.

use std::collections::HashMap;
use std::net::SocketAddr;

use chassis::admin::AdminToken;
use client::{
    Address, CallContext, ClientConfig, Discovery, HttpPool, Peer, RequestBody, RestClient,
};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use serde_json::Value;

use crate::Observed;

/// The most replicas of one service that are observed.
const REPLICAS_MAX: usize = 32;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How an admin port is called: without retries and breaker, since its failures are what the observatory shows.
pub(crate) const ASKED: &str =
    "deadline=2s,attempt=2s,connect=1s,retries=0,breaker=off,bulkhead=16+64/1s,idle=15s";

/// All observed services.
pub(crate) struct Replicas {
    services: Vec<Service>,
}

/// One of them.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) discovery: Discovery,
    address: Address,
    context: CallContext,
    limits: ClientConfig,
    /// One client for each replica that discovery knows, so that all callers share its connections and limits.
    known: Mutex<HashMap<SocketAddr, Replica>>,
}

/// One admin port. Clones are the same client.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) service: &'static str,
    pub(crate) at: SocketAddr,
    pool: HttpPool,
    context: CallContext,
}

impl Replicas {
    pub(crate) fn new(observed: &Observed, token: Option<&AdminToken>) -> Self {
        let service = |(name, address): &(String, Address)| {
            // Clients need the name of their peer as `&'static str`; the list of services lives as long as the process, too.
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            Service::new(name, address, token, ASKED)
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
    /// A client of the service at this address. `limits` has the format of `*_CLIENT`.
    ///
    /// # Panics
    /// If the limits cannot be read; and outside of a Tokio runtime, if the address holds a name.
    pub(crate) fn new(
        name: &'static str,
        address: &Address,
        token: Option<&AdminToken>,
        limits: &str,
    ) -> Self {
        Self {
            name,
            discovery: Discovery::new(name, address),
            address: address.clone(),
            context: token.map_or_else(CallContext::default, |token| {
                CallContext::bearer(token.reveal())
            }),
            limits: limits.parse().expect("a valid configuration"),
            known: Mutex::default(),
        }
    }

    /// The presently known replicas.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        let endpoints = self.discovery.snapshot().endpoints;
        let mut known = self.known.lock();
        known.retain(|at, _| endpoints.contains(at));
        let replicas = endpoints.iter().take(REPLICAS_MAX).map(|at| {
            let replica = known.entry(*at).or_insert_with(|| self.replica(*at));
            replica.clone()
        });
        replicas.collect()
    }

    /// A client of the replica at this address. `Host` is the service's name, which its admin port accepts.
    fn replica(&self, at: SocketAddr) -> Replica {
        let peer = Peer::new(self.name, self.address.at(at), self.limits.clone());
        Replica {
            service: self.name,
            at,
            pool: HttpPool::new(peer.called_by(crate::NAME)),
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

    /// `GET path` as JSON; `None` if the call fails or the answer is invalid.
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
        // A time limit for the whole body; the client's own limits are for the head and for pauses.
        let body = tokio::time::timeout(self.pool.peer().config.deadline, body);
        let body = body
            .await
            .map_err(|_| "its answer does not end".to_owned())?;
        let bytes = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}
