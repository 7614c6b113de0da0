//! The route to the observatory, if one is configured (`OBSERVATORY_URL`): `/observatory/…` is its `/v1/…`.
//!
//! It shows the requests of others, and has switches that break things. So on the loopback interface it is open to pages of
//! this host only, which is checked by `Host` and `Origin`; elsewhere, or behind a proxy, it is for administrators. A proxy on
//! this machine forwards requests of anybody over the loopback interface: if one is configured, or a request shows that it came
//! through one, the loopback address proves nothing.
//!
//! It is separate from the routes of the API: its requests are not recorded as hops, do not count against the limits of
//! customers, and do not affect theirs if the observatory fails.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use chassis::admin::{self, Access, AdminToken, HostName};
use chassis::auth::{self, Caller, Refused, Verifier};
use chassis::http::intake::ByProxy;
use chassis::http::streams::Streams;
use chassis::problem::Problem;
use chassis::proxies::TrustedProxies;
use client::{HttpPool, RequestBody};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use super::stream::Reader;
use super::{body, has_dot_segment, headers, stream};
use crate::error::from_call;

/// The request headers that are passed on.
const PASSED: [header::HeaderName; 2] = [header::ACCEPT, header::CONTENT_TYPE];

/// The client of the observatory, and who may use it.
pub(crate) struct Observatory {
    pub(crate) pool: HttpPool,
    /// The host names of the page, besides localhost.
    pub(crate) hosts: Vec<HostName>,
    /// The token for the observatory, if it is not on the loopback interface.
    pub(crate) token: Option<AdminToken>,
    /// Whether the door is on the loopback interface and no proxy is configured: then direct requests come from this machine.
    pub(crate) for_this_machine: bool,
    pub(crate) proxies: TrustedProxies,
    pub(crate) streams: Streams,
}

/// Its routes, with all checks.
pub(crate) fn router(observatory: Observatory, verifier: Verifier) -> Router {
    let access = Access {
        hosts: observatory.hosts.clone(),
        token: None,
    };
    let routes = Router::new()
        .route("/observatory/{*rest}", any(pass))
        .with_state(Arc::new(observatory))
        .layer(auth::layer(verifier));
    admin::for_own_pages(routes, access)
}

async fn pass(State(to): State<Arc<Observatory>>, request: Request) -> Result<Response, Problem> {
    to.admit(&request)?;
    let path = request.uri().path();
    if has_dot_segment(path) {
        return Err(Problem::not_found());
    }
    let rest = path.strip_prefix("/observatory").unwrap_or_default();
    let query = request.uri().query();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let base = to.pool.peer().address.base_path();
    let uri = Uri::try_from(format!("{base}/v1{rest}{query}"))
        .map_err(|_| Problem::bad_request("the path cannot be read"))?;
    let reader = Reader::of(&request, &to.proxies);
    let (head, content) = request.into_parts();
    let content = body::read(content).await?;
    let mut passed = http::Request::new(RequestBody::whole(content));
    *passed.method_mut() = head.method.clone();
    *passed.uri_mut() = uri;
    *passed.headers_mut() = to.headers(&head.method, &head.headers)?;
    let mut answer = match to.pool.send(passed).await {
        Ok(answer) => answer,
        Err(error) => return Ok(from_call(error).into_response()),
    };
    let place = stream::place(&answer, &to.streams, reader)?;
    headers::strip_hop_by_hop(answer.headers_mut());
    Ok(match place {
        Some(place) => stream::pass(answer, place),
        None => answer.map(Body::new),
    })
}

/// Whether a request shows that it came through a proxy. Browsers and our own clients never use HTTP/1.0, but nginx does by
/// default.
fn is_brought(request: &Request) -> bool {
    request.version() == Version::HTTP_10 || request.extensions().get::<ByProxy>().is_some()
}

impl Observatory {
    fn admit(&self, request: &Request) -> Result<(), Problem> {
        if self.for_this_machine && !is_brought(request) {
            return Ok(());
        }
        if let Some(refused) = request.extensions().get::<Refused>() {
            return Err(Problem::from(refused.clone()));
        }
        match request.extensions().get::<Caller>() {
            Some(caller) if caller.is_admin() => Ok(()),
            Some(_) => {
                Err(Problem::forbidden().with_detail("the observatory is for administrators"))
            }
            None => Err(Problem::unauthorized().with_detail(
                "sign in as an administrator: this door is not only for this machine",
            )),
        }
    }

    /// The headers for the observatory. Its door requires an `Origin` of its own, which replaces the one that was checked here.
    fn headers(&self, method: &Method, from: &HeaderMap) -> Result<HeaderMap, Problem> {
        let mut passed = HeaderMap::new();
        for name in PASSED {
            if let Some(value) = from.get(&name) {
                passed.insert(name, value.clone());
            }
        }
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.reveal());
            let mut bearer = HeaderValue::try_from(bearer)
                .map_err(|_| Problem::bad_request("the observatory's token is no header"))?;
            bearer.set_sensitive(true);
            passed.insert(header::AUTHORIZATION, bearer);
        }
        if !method.is_safe() {
            let origin = format!("http://{}", self.pool.peer().address.authority());
            let origin = HeaderValue::try_from(origin)
                .map_err(|_| Problem::bad_request("the observatory has no usable address"))?;
            passed.insert(header::ORIGIN, origin);
        }
        Ok(passed)
    }
}
