//! Access control of an admin port: a caller must address it by one of its own names and, to change something, present
//! its token (ADR 21).
//!
//! The check of names protects against browsers: a page of another site can have its own name resolve to 127.0.0.1 (DNS
//! rebinding), and its requests then reach this port as if they were local. The `Host` header still names the other
//! site.

mod host;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::problem::Problem;

pub use host::HostName;
use host::{Asked, Origin};
pub use token::AdminToken;

/// Paths that are answered under any host name: an orchestrator probes by address.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// The host names that an admin port answers to, and the token for its switches
/// ([`crate::config::Service::admin_access`]).
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Accepted in addition to `localhost` and the loopback addresses.
    pub hosts: Vec<HostName>,
    /// The token that a caller must present to change something. Without a token, only a port on the loopback accepts
    /// changes.
    pub token: Option<AdminToken>,
}

/// The [`Access`] of an admin port, and whether the port is bound to the loopback.
#[derive(Clone)]
struct Gate {
    access: Access,
    problem_types: &'static str,
    on_loopback: bool,
}

/// Puts the checks in front of all routes, and of paths without a route.
pub(super) fn guard(
    router: Router,
    access: Access,
    problem_types: &'static str,
    on_loopback: bool,
) -> Router {
    let gate = Gate {
        access,
        problem_types,
        on_loopback,
    };
    router.layer(from_fn_with_state(gate, check))
}

/// For switches that a page has: what is asked for has to come under one of the port's own names ([`Access::hosts`]; the
/// loopback is always one), and what changes something from a page of the same origin. So no page of another site can press
/// a switch, neither by a form nor by a name that it makes resolve to this machine, and nothing but a page can.
///
/// The token of `access` is not required; another layer decides who may call.
pub fn for_own_pages(router: Router, access: Access) -> Router {
    let page = from_fn_with_state(Arc::new(access), check_page);
    router.layer(page)
}

/// Only for requests that present this bearer token, such as those of a proxy that has let its caller through.
pub fn for_bearers(router: Router, token: AdminToken) -> Router {
    router.layer(from_fn_with_state(Arc::new(token), check_bearer))
}

async fn check_bearer(
    State(token): State<Arc<AdminToken>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if token.is_presented(request.headers()) {
        return Ok(next.run(request).await);
    }
    Err(Problem::unauthorized()
        .with_detail("send the port's token: `Authorization: Bearer <token>`"))
}

async fn check_page(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let asked = asked(&request)?;
    for host in &asked {
        if !host.host.is_loopback() && !access.hosts.contains(&host.host) {
            return Err(Problem::forbidden()
                .with_detail(format!("this is not answered under the name {}", host.host)));
        }
    }
    same_origin(request.headers(), &asked)?;
    if !request.method().is_safe() {
        if !request.headers().contains_key(header::ORIGIN) {
            return Err(
                Problem::forbidden().with_detail("only a page may do that: there is no Origin")
            );
        }
        if is_form(request.headers()) {
            return Err(Problem::forbidden().with_detail("no form may do that"));
        }
    }
    Ok(next.run(request).await)
}

/// Content that a page of any site can send without being asked for permission.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ]
    .iter()
    .any(|form| kind.eq_ignore_ascii_case(form.as_bytes()))
}

async fn check(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            tracing::debug!(%problem, "the admin port refused a request");
            // A complete document: `http::standard` is further in and has not seen the request.
            problem.respond(gate.problem_types, Some(request.uri().path()))
        }
    }
}

impl Gate {
    fn admit(&self, request: &Request) -> Result<(), Problem> {
        if PROBES.contains(&request.uri().path()) {
            return Ok(());
        }
        let asked = asked(request)?;
        for host in &asked {
            self.known(host)?;
        }
        same_origin(request.headers(), &asked)?;
        // Every method that may change something needs the token, so that later switches are covered without further
        // code.
        if request.method().is_safe() {
            return Ok(());
        }
        self.authorize(request.headers())
    }

    fn known(&self, asked: &Asked) -> Result<(), Problem> {
        if asked.host.is_loopback() || self.access.hosts.contains(&asked.host) {
            return Ok(());
        }
        Err(Problem::forbidden().with_detail(format!(
            "this admin port does not answer to the name {}: add it to ADMIN_HOSTS (or --admin-hosts) of the service",
            asked.host
        )))
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match &self.access.token {
            Some(token) if token.is_presented(headers) => Ok(()),
            Some(_) => Err(Problem::unauthorized()
                .with_detail("send the service's ADMIN_TOKEN: `Authorization: Bearer <token>`")),
            None if self.on_loopback => Ok(()),
            None => Err(Problem::forbidden().with_detail(
                "this admin port can be reached from elsewhere, so it changes nothing without a token: set ADMIN_TOKEN \
                 (or --admin-token) of the service, or bind the port to 127.0.0.1 (ADMIN_BIND_HOST)",
            )),
        }
    }
}

/// Returns every host that the request names. HTTP/1.1 has one in `Host` and, if the request is meant for a proxy,
/// another in its target; HTTP/2 has `:authority` and may have `Host` as well. All of them are checked, since routers
/// differ in which one they use.
fn asked(request: &Request) -> Result<Vec<Asked>, Problem> {
    let mut asked = Vec::with_capacity(2);
    if let Some(authority) = request.uri().authority() {
        asked.push(read(authority)?);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => asked.push(parse(host)?),
        (None, _) if !asked.is_empty() && request.version() == Version::HTTP_2 => {}
        (None, _) => return Err(Problem::bad_request("there is no Host header")),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("there is more than one Host header"));
        }
    }
    Ok(asked)
}

fn parse(host: &HeaderValue) -> Result<Asked, Problem> {
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| unreadable())?;
    read(&authority)
}

fn read(authority: &Authority) -> Result<Asked, Problem> {
    Asked::read(authority).ok_or_else(unreadable)
}

fn unreadable() -> Problem {
    Problem::bad_request("the Host header is no host with, or without, a port")
}

/// Checks `Origin`. Browsers send it with each request that may change something and with each cross-site read; only
/// the origin of this port itself is accepted.
fn same_origin(headers: &HeaderMap, asked: &[Asked]) -> Result<(), Problem> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let ours = match (origins.next(), origins.next()) {
        (None, _) => return Ok(()),
        (Some(origin), None) => {
            Origin::read(origin).is_some_and(|origin| asked.iter().all(|asked| origin.is_of(asked)))
        }
        (Some(_), Some(_)) => false,
    };
    if ours {
        return Ok(());
    }
    Err(Problem::forbidden().with_detail("a page of another site may not use this admin port"))
}
