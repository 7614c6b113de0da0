//! The one place where the outer door limits and cleans what a request from outside may contain.
//!
//! A request that passes these limits fits through every hop behind, with everything that we add to it: the services
//! behind accept [`HEADER_LIST_BYTES_MAX`] of headers, the outer door accepts half of that. A deadline that a client
//! sends is a wish. It has a lower limit, too, so that a peer behind is not judged by the short time that a client
//! outside leaves it.
//!
//! Inner doors trust the deadlines of their callers. Trace context is cleaned at every door, since a client can reach
//! any of them.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use resilience::deadline::{GRPC_TIMEOUT_HEADER, TIMEOUT_HEADER, wire};

use crate::problem::Problem;
use crate::proxies::FORWARDED_FOR;
use crate::trace;

/// The most bytes of a request target that the outer door accepts: room for any cursor and search, and less than any
/// server behind accepts.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// The most bytes of header fields, names and values, that the outer door accepts.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The most header fields that the outer door accepts. hyper accepts 100, and the gateway adds some.
pub const HEADER_FIELDS_MAX: usize = 80;
/// The most bytes of a header list that every server and client of ours accepts over HTTP/2, with 32 bytes for each
/// field (RFC 9113 section 6.5.2): what the outer door accepts, including the target, and what we add.
pub const HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
/// The most bytes of a head over HTTP/1.1, at every door: as many as of a list over HTTP/2. The target and the fields that
/// the outer door accepts are less, with what we add. hyper's default of 408 KiB would let a few hundred connections with
/// unfinished heads fill the memory.
pub(super) const HEAD_BYTES_MAX: usize = HEADER_LIST_BYTES_MAX as usize;
/// The shortest time that a client of the outer door can ask for; a shorter one is raised to it.
pub const WISH_MIN: Duration = Duration::from_secs(1);
/// The most bytes of a problem's `instance`; a longer path is cut.
const INSTANCE_BYTES_MAX: usize = 2048;

/// Fields that only a proxy in front of us should set, so that values from a client cannot be trusted.
/// `x-forwarded-for` is not in the list: behind the door the one of a trusted proxy is read, and whatever forwards the
/// request replaces it.
static FORWARDING: [HeaderName; 13] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
    HeaderName::from_static("x-forwarded-client-cert"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-rewrite-url"),
];

/// The fields that an Envoy takes for instructions from whom it believes: another deadline, more retries, what to repeat. In a mesh the next
/// hop is one, and whom it believes is a matter of its version and its settings. Beyond the door nobody sets them.
const FOR_ENVOY: &str = "x-envoy-";

/// In the extensions of a request that came with what only a proxy sets, in the fields that the outer door takes away or in
/// `x-forwarded-for`. A client can pretend to be a proxy, so that only the absence of this says something.
#[derive(Clone, Copy, Debug)]
pub struct ByProxy;

/// Whether a door is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Any client may connect.
    Outer,
    /// Only reached from behind the outer door.
    Inner,
}

impl Side {
    /// Cleans a request that arrives here. Returns the refusal of one that is too large to be forwarded.
    pub(super) fn clean(self, request: &mut Request) -> Option<Problem> {
        trace::clean(request.headers_mut());
        if self == Self::Inner {
            return None;
        }
        if let Some(problem) = too_large(request) {
            return Some(problem);
        }
        let headers = request.headers_mut();
        let mut by_proxy = headers.contains_key(FORWARDED_FOR);
        for name in &FORWARDING {
            by_proxy |= headers.remove(name).is_some();
        }
        remove_instructions(headers);
        bound_wish(headers);
        if by_proxy {
            request.extensions_mut().insert(ByProxy);
        }
        None
    }
}

fn too_large(request: &Request) -> Option<Problem> {
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, str::len);
    if target > URI_BYTES_MAX {
        let detail = format!("the target may have at most {URI_BYTES_MAX} bytes");
        return Some(Problem::from_status(StatusCode::URI_TOO_LONG).with_detail(detail));
    }
    let headers = request.headers();
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    (bytes > HEADER_BYTES_MAX || headers.len() > HEADER_FIELDS_MAX).then(|| {
        let detail = format!(
            "at most {HEADER_FIELDS_MAX} header fields of {HEADER_BYTES_MAX} bytes together are taken"
        );
        Problem::from_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).with_detail(detail)
    })
}

/// Hardly any request has one, and then nothing is copied.
fn remove_instructions(headers: &mut HeaderMap) {
    let is_instruction = |name: &&HeaderName| name.as_str().starts_with(FOR_ENVOY);
    loop {
        let Some(name) = headers.keys().find(is_instruction).cloned() else {
            return;
        };
        headers.remove(name);
    }
}

/// The upper limit of a wish is the door's own timeout, as for every request.
fn bound_wish(headers: &mut HeaderMap) {
    headers.remove(GRPC_TIMEOUT_HEADER);
    let Some(wish) = headers.remove(TIMEOUT_HEADER) else {
        return;
    };
    if let Some(wish) = wire::parse_http_timeout(&wish) {
        headers.insert(TIMEOUT_HEADER, wire::http_timeout(wish.max(WISH_MIN)));
    }
}

/// The `instance` of a problem about a request: its path.
pub fn instance(uri: &Uri) -> String {
    let path = uri.path();
    let end = path
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= INSTANCE_BYTES_MAX)
        .last()
        .unwrap_or_default();
    path[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> Request {
        let mut request = Request::builder().uri("/a?b=c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn cleaned(side: Side, headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut request = request(headers);
        assert!(side.clean(&mut request).is_none());
        std::mem::take(request.headers_mut())
    }

    #[test]
    fn a_client_s_wish_is_at_least_a_second_and_a_caller_s_is_believed() {
        for (asked, outer) in [
            ("1", Some("1000")),
            ("0", Some("1000")),
            ("999", Some("1000")),
            ("2500", Some("2500")),
            ("soon", None),
        ] {
            let headers = [("x-request-timeout-ms", asked)];
            let found = cleaned(Side::Outer, &headers);
            let found = found.get(TIMEOUT_HEADER).map(|v| v.to_str().unwrap());
            assert_eq!(found, outer, "{asked}");
            let found = cleaned(Side::Inner, &headers);
            assert_eq!(found[TIMEOUT_HEADER], asked);
        }
        assert!(cleaned(Side::Outer, &[("grpc-timeout", "1n")]).is_empty());
    }

    #[test]
    fn what_a_proxy_would_say_is_not_a_client_s_to_say() {
        let said = [
            ("x-forwarded-uri", "/forged"),
            ("x-original-uri", "/forged"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-host", "elsewhere"),
            ("x-forwarded-client-cert", "URI=spiffe://agora/gateway"),
        ];
        assert!(cleaned(Side::Outer, &said).is_empty());
    }

    #[test]
    fn a_client_gives_no_instructions_to_a_sidecar() {
        let instructions = [
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-envoy-retry-on", "5xx"),
            ("X-Envoy-Max-Retries", "100"),
            ("x-envoy-max-retries", "99"),
        ];
        assert!(cleaned(Side::Outer, &instructions).is_empty());
        // Behind the door it is our own proxies that set them.
        assert_eq!(
            cleaned(Side::Inner, &instructions).len(),
            instructions.len()
        );
        assert_eq!(cleaned(Side::Outer, &[("x-envoys", "1")]).len(), 1);
    }

    #[test]
    fn what_a_proxy_brings_is_marked() {
        let marked = |name| {
            let mut request = request(&[(name, "x")]);
            assert!(Side::Outer.clean(&mut request).is_none());
            request.extensions().get::<ByProxy>().is_some()
        };
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip",
        ] {
            assert!(marked(name), "{name}");
        }
        assert!(!marked("accept"));
    }

    #[test]
    fn what_a_hop_behind_could_not_carry_is_refused() {
        let status = |mut request: Request| {
            let refused = Side::Outer.clean(&mut request);
            refused.map(|problem| problem.status().as_u16())
        };
        let long = "x".repeat(HEADER_BYTES_MAX);
        assert_eq!(status(request(&[("x-long", &long)])), Some(431));
        assert_eq!(
            status(request(&[("x-long", &long[..long.len() - 6])])),
            None
        );
        let many = vec![("x-many", "1"); HEADER_FIELDS_MAX + 1];
        assert_eq!(status(request(&many)), Some(431));
        assert_eq!(status(request(&many[1..])), None);
        let mut uri = request(&[]);
        *uri.uri_mut() = format!("/?{}", "x".repeat(URI_BYTES_MAX)).parse().unwrap();
        assert_eq!(status(uri), Some(414));
        // The target, the fields and 32 bytes for each of them fit into the list that every door accepts.
        let list = URI_BYTES_MAX + HEADER_BYTES_MAX + 32 * HEADER_FIELDS_MAX;
        assert!(list + 2048 < HEADER_LIST_BYTES_MAX as usize);
    }

    #[test]
    fn an_instance_is_bounded_and_cut_between_characters() {
        let long = format!("/{}", "é".repeat(2000));
        let uri = Uri::try_from(long.as_str()).unwrap();
        assert_eq!(instance(&uri).len(), 2047);
        assert_eq!(instance(&Uri::from_static("/a/b?c=d")), "/a/b");
    }
}
