//! The streaming reverse proxy: passes a request on to a service behind and its answer back, frame by
//! frame. Nothing is buffered but short requests, and bodies are not looked at; what is known before the request comes
//! (paths) is computed at the start. Where it goes and what that may cost is the pool's to say, as for every client.

mod headers;
mod location;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use chassis::auth::Refused;
use chassis::problem::Problem;
use client::{HttpPool, RequestBody};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::error::{BROKEN_OFF, from_call};
use crate::routes::{Route, Routes, Upstream};

/// The services behind.
pub(crate) struct Behind {
    pub(crate) orders: HttpPool,
    pub(crate) products: HttpPool,
}

/// The longest body that is kept to be sent again, in bytes: three times an order of fifty lines, and 32 MiB for all
/// requests that may be in progress (`MAX_IN_FLIGHT`).
const REPEATABLE_BYTES_MAX: usize = 16 * 1024;

/// One prefix of the public API, and where it leads.
struct Mount {
    /// For example `/api/v1/orders`.
    public: String,
    /// For example `/v1/orders`, below the backend's base.
    target: String,
    /// Whether a bad token is no more than no token.
    open: bool,
    pool: HttpPool,
}

/// The prefix routes below each of `roots` (`/api`, `/api/v1`).
///
/// Each root has routes of its own instead of being nested: axum's nesting rebuilds the URI of each request,
/// and the prefix that the client used is needed again for `Location`.
pub(crate) fn router(routes: &Routes, behind: &Behind, roots: &[&str]) -> Router {
    let mut router = Router::new();
    for root in roots {
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
        let request = match self.outgoing(request) {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let (head, body) = request.into_parts();
        let request = match repeatable(body).await {
            Ok(body) => http::Request::from_parts(head, body),
            Err(problem) => return problem.into_response(),
        };
        match self.pool.send(request).await {
            Ok(mut answer) => {
                headers::strip_hop_by_hop(answer.headers_mut());
                location::rewrite(
                    answer.headers_mut(),
                    self.pool.peer().address.authority().as_str(),
                    &self.target,
                    &self.public,
                );
                answer.map(Body::new)
            }
            Err(error) => from_call(error).into_response(),
        }
    }

    /// The request as the service behind gets it.
    fn outgoing(&self, request: Request) -> Result<Request, Problem> {
        let (mut head, body) = request.into_parts();
        if has_dot_segment(head.uri.path()) {
            return Err(Problem::not_found());
        }
        let client = head
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_string());
        let asked = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        headers::forward(
            &mut head.headers,
            client.and_then(|client| HeaderValue::try_from(client).ok()),
            HeaderValue::from_str(asked).ok(),
        );
        client::inject(&mut head.headers);

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

/// A body that is announced and short is read before it is passed on, so that it can be sent again: an order must
/// not fail because one of two instances has just gone. Any other is a stream, and is sent once.
async fn repeatable(body: Body) -> Result<RequestBody, Problem> {
    match body.size_hint().exact() {
        Some(length) if length <= REPEATABLE_BYTES_MAX as u64 => {
            let read = to_bytes(body, REPEATABLE_BYTES_MAX).await;
            let bytes = read.map_err(|_| Problem::bad_request(BROKEN_OFF))?;
            Ok(RequestBody::whole(bytes))
        }
        _ => Ok(RequestBody::stream(body)),
    }
}

/// Whether a path has a segment `.` or `..`, also in percent-encoding. A service behind that resolves them would
/// be led out of its route; no honest client sends them.
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
