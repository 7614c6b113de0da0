//! Checks the form of a request before anything behind the door sees it.
//!
//! Some requests are refused by hyper before there is a request (a line that cannot be parsed: 400; a head beyond 32 KiB,
//! the target included: 431). It answers with the bare status, and none of our code runs.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use crate::problem::{Problem, kinds};

/// The methods that resources here can have at all; the 405 of a route lists them more precisely.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Refuses a request whose form is invalid, whatever it asks for:
///
/// | refused with | when |
/// |---|---|
/// | 400 | it does not name exactly one host: none over HTTP/1.1, two of them, or an invalid one |
/// | 405 | `TRACE`, which returns credentials, and `CONNECT`: no resource supports them and no route proxies them |
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

/// RFC 9112 section 3.2. Two hosts, or one that two hops parse differently, can make a request reach another site's
/// answers. Over HTTP/2 the authority is in the target, and hyper has checked it.
fn wrong_host(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("Host is given more than once"),
        (Some(host), None) if !is_host(host) => Some("Host names no host"),
        (None, _) if version == Version::HTTP_11 => Some("Host is missing"),
        _ => None,
    }
}

/// Whether the value is `uri-host [":" port]`, without the user that [`Authority`] would accept in front of it, and
/// without commas: they are valid in a name, but a value with one is two hosts that a hop joined into one line.
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
