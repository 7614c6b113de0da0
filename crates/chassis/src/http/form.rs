//! Whether a request is one that anything behind the door may see.
//!
//! What hyper itself refuses, before there is a request (a line that cannot be parsed: 400; a target beyond 64 KiB: 414;
//! a head beyond its buffer: 431), it answers with the bare status: nothing of ours runs then.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use crate::problem::{Problem, kinds};

/// What resources here can answer to at most; a 405 of a route says it more narrowly.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The refusal of a request whose form is wrong whatever it asks for:
///
/// | refused with | when |
/// |---|---|
/// | 400 | it does not name one host: none over HTTP/1.1, two of them, or what is no host |
/// | 405 | `TRACE`, which sends credentials back, and `CONNECT`: no resource has them, and no proxy route passes them on |
/// | 415 | the body is in a content coding: nothing here decodes one |
pub(super) fn refuse(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    if let Some(detail) = wrong_host(request.version(), headers) {
        return Some(Problem::bad_request(detail));
    }
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        let allowed = HeaderValue::from_static(METHODS);
        let problem = Problem::from_status(StatusCode::METHOD_NOT_ALLOWED);
        return Some(problem.with_header(header::ALLOW, allowed));
    }
    is_encoded(headers).then(|| {
        Problem::unsupported_media_type()
            .with_kind(kinds::UNSUPPORTED_CONTENT_CODING)
            .with_detail("send the body as it is, without Content-Encoding")
            .with_header(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            )
    })
}

/// RFC 9112 section 3.2. Two hosts, or one that two hops read differently, are how a request comes to another site's
/// answers. Over HTTP/2 the authority is in the target, and hyper has looked at it.
fn wrong_host(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("Host is given more than once"),
        (Some(host), None) if !is_host(host) => Some("Host names no host"),
        (None, _) if version == Version::HTTP_11 => Some("Host is missing"),
        _ => None,
    }
}

/// `uri-host [":" port]`, without the user that [`Authority`] would take in front of it, and without commas: a name may have
/// them, but what has one is two hosts that somebody joined into one line.
fn is_host(value: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(value.as_bytes()) else {
        return false;
    };
    let port = authority.as_str().strip_prefix(authority.host());
    let port = port.and_then(|rest| {
        rest.strip_prefix(':')
            .or(Some(rest).filter(|r| r.is_empty()))
    });
    !authority.host().is_empty()
        && !authority.as_str().contains(['@', ','])
        && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| {
            !value
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"identity")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_host() {
        for good in [
            "a",
            "a.example:80",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "a:",
        ] {
            assert!(is_host(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "", " ", "a b", "a,b", "u@a", "a/b", "a:b", "http://a", "a?b", "[::1", "a:1:2",
        ] {
            assert!(!is_host(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
