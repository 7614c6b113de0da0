//! The reverse proxy: forwards a request to a service behind once it was received completely, and the answer frame by frame.
//! Paths are computed at the start. The pool chooses the endpoint and applies the limits, as for every client.

mod body;
mod headers;
mod location;
pub(crate) mod observatory;
mod problem;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use chassis::auth::Refused;
use chassis::http::streams::Streams;
use chassis::problem::Problem;
use chassis::proxies::TrustedProxies;
use client::{HttpPool, RequestBody};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::error::from_call;
use crate::routes::{Route, Routes, Upstream};
use crate::versions::Version;
use stream::Reader;

/// The services behind.
pub(crate) struct Behind {
    pub(crate) orders: HttpPool,
    pub(crate) products: HttpPool,
}

/// One prefix of the public API, and where it leads.
struct Mount {
    /// For example `/api/v1/orders`.
    public: String,
    /// For example `/v1/orders`, below the service's base URL.
    target: String,
    /// Whether an invalid token is treated like no token.
    open: bool,
    pool: HttpPool,
    proxies: TrustedProxies,
    streams: Streams,
}

/// The prefix routes of all versions.
///
/// Each root has its own routes instead of nested ones: axum's nesting rebuilds the URI of each request, and the prefix that
/// the client used is needed again for `Location`. The services behind get the client's address, which `proxies` in front of
/// the gateway may report.
pub(crate) fn router(
    versions: &[(Version, &Routes)],
    behind: &Behind,
    proxies: &TrustedProxies,
    streams: &Streams,
) -> Router {
    let mut router = Router::new();
    let rooted = versions.iter().flat_map(|(version, routes)| {
        let roots = version.roots().iter();
        roots.map(move |root| (*routes, *root))
    });
    for (routes, root) in rooted {
        for Route {
            prefix,
            upstream,
            target,
        } in &routes.0
        {
            let pool = match upstream {
                Upstream::Orders => behind.orders.clone(),
                Upstream::Products => behind.products.clone(),
            };
            let target = format!("{}{target}", pool.peer().address.base_path());
            let public = format!("{root}{prefix}");
            let mount = Arc::new(Mount {
                public: public.clone(),
                target,
                open: upstream.is_open(),
                pool,
                proxies: proxies.clone(),
                streams: streams.clone(),
            });
            let handler = any(move |request: Request| {
                let mount = Arc::clone(&mount);
                async move { mount.pass(request).await }
            });
            router = router
                .route(&public, handler.clone())
                .route(&format!("{public}/{{*rest}}"), handler);
        }
    }
    router
}

impl Mount {
    async fn pass(&self, request: Request) -> Response {
        if let Some(refused) = request.extensions().get::<Refused>().filter(|_| !self.open) {
            return Problem::from(refused.clone()).into_response();
        }
        let asked = request.uri().clone();
        let reader = Reader::of(&request, &self.proxies);
        let (head, body) = match self.outgoing(request) {
            Ok(request) => request.into_parts(),
            Err(problem) => return problem.into_response(),
        };
        let request = match body::read(body).await {
            Ok(bytes) => http::Request::from_parts(head, RequestBody::whole(bytes)),
            Err(problem) => return problem.into_response(),
        };
        match self.pool.send(request).await {
            Ok(mut answer) => {
                let place = match stream::place(&answer, &self.streams, reader) {
                    Ok(place) => place,
                    Err(full) => return Problem::from(full).into_response(),
                };
                headers::strip_hop_by_hop(answer.headers_mut());
                location::rewrite(
                    answer.headers_mut(),
                    self.pool.peer().address.authority().as_str(),
                    &self.target,
                    &self.public,
                );
                match place {
                    Some(place) => stream::pass(answer, place),
                    None => problem::pass(answer, self.pool.peer().name, &asked).await,
                }
            }
            Err(error) => from_call(error).into_response(),
        }
    }

    /// The request to the service behind.
    fn outgoing(&self, request: Request) -> Result<Request, Problem> {
        let (mut head, body) = request.into_parts();
        if has_dot_segment(head.uri.path()) {
            return Err(Problem::not_found());
        }
        let client = head
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| self.proxies.client(info.0.ip(), &head.headers).to_string());
        headers::forward(
            &mut head.headers,
            client.and_then(|client| HeaderValue::try_from(client).ok()),
        );
        client::inject(&mut head.headers);

        let asked = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let rest = asked.strip_prefix(&self.public).unwrap_or_default();
        let mut path = String::with_capacity(self.target.len() + rest.len());
        path.push_str(&self.target);
        path.push_str(rest);
        head.uri = PathAndQuery::from_maybe_shared(Bytes::from(path))
            .map(Uri::from)
            .map_err(|_| Problem::bad_request("the path cannot be read"))?;
        head.extensions.clear();
        Ok(Request::from_parts(head, body))
    }
}

/// Whether a path has a segment `.` or `..`, also percent-encoded. A service behind that resolves them would leave its route;
/// no honest client sends them.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let mut rest = segment.as_bytes();
        let mut dots = 0;
        while let Some(after) = rest.strip_prefix(b".").or_else(|| strip_encoded_dot(rest)) {
            dots += 1;
            rest = after;
        }
        rest.is_empty() && (dots == 1 || dots == 2)
    })
}

fn strip_encoded_dot(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"%2e")
        .or_else(|| text.strip_prefix(b"%2E"))
}

#[cfg(test)]
mod tests {
    use super::has_dot_segment;

    #[test]
    fn dot_segments_are_found_in_any_spelling() {
        for path in ["/a/../b", "/a/..", "/./a", "/a/%2e%2E/b", "/a/.%2e", "/%2e"] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in [
            "/a/b", "/a/...", "/a/..b", "/a.b/c", "/", "/a/%2ex", "/v1.0/x",
        ] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
