//! Who calls, as the service's own sidecar has read it from the caller's certificate.
//!
//! The sidecar replaces what a caller claims to be, and connects from the loopback, so of such connections a service with a sidecar can
//! believe the header. Who comes over the network comes past the sidecar, as collectors of metrics do at the admin ports of a cluster, and
//! may have written anything. So it ends at every door, believed or not: nothing behind a door reads it, or forwards it.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderName, Request};

/// In Envoy's form: an element for each proxy, separated by commas, of pairs `Key=Value`, separated by semicolons. A value that has
/// one of the separators is quoted.
static CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// The pair with the identity.
const IDENTITY: &str = "URI=";
/// What every identity of a mesh begins with.
const SCHEME: &str = "spiffe://";
/// The most bytes of an identity; SPIFFE allows 2,048, and a longer one than this would fill the log.
const IDENTITY_BYTES_MAX: usize = 256;

/// Removes the header. Returns the caller's identity, such as `spiffe://example.org/gateway`, if the header is believed and has one.
pub(crate) fn take_caller<B>(request: &mut Request<B>, has_sidecar: bool) -> Option<String> {
    let is_believed = has_sidecar && is_from_beside(request.extensions());
    let headers = request.headers_mut();
    // The last line and its last element: a proxy appends what it has seen itself, and the nearest one is ours.
    let nearest = headers.get_all(&CLIENT_CERTIFICATE).iter().next_back();
    let caller = nearest
        .filter(|_| is_believed)
        .and_then(|value| value.to_str().ok())
        .and_then(identity)
        .map(str::to_owned);
    headers.remove(&CLIENT_CERTIFICATE);
    caller
}

/// Whether the connection comes from where the sidecar is.
fn is_from_beside(extensions: &Extensions) -> bool {
    let connection = extensions.get::<ConnectInfo<SocketAddr>>();
    connection.is_some_and(|ConnectInfo(from)| from.ip().to_canonical().is_loopback())
}

/// The identity in the last element. None where there are two: a certificate of SPIFFE has exactly one.
fn identity(value: &str) -> Option<&str> {
    let element = split_unquoted(value, ',').last()?;
    let mut found =
        split_unquoted(element, ';').filter_map(|pair| pair.trim().strip_prefix(IDENTITY));
    let identity = found.next().filter(|identity| is_identity(identity))?;
    found.next().is_none().then_some(identity)
}

fn is_identity(text: &str) -> bool {
    text.starts_with(SCHEME)
        && text.len() <= IDENTITY_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Splits at a separator outside of quotes. Within them a backslash escapes a quote.
fn split_unquoted(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        c == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const GATEWAY: &str = "By=spiffe://agora/orders;Hash=0f;URI=spiffe://agora/gateway";

    fn taken(lines: &[&str], has_sidecar: bool) -> Option<String> {
        taken_from(Some("127.0.0.1:40000"), lines, has_sidecar)
    }

    fn taken_from(address: Option<&str>, lines: &[&str], has_sidecar: bool) -> Option<String> {
        let mut request = Request::new(());
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            request
                .headers_mut()
                .append(CLIENT_CERTIFICATE.clone(), value);
        }
        if let Some(address) = address {
            let from: SocketAddr = address.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(from));
        }
        let caller = take_caller(&mut request, has_sidecar);
        assert!(request.headers().is_empty(), "{request:?}");
        caller
    }

    #[test]
    fn the_nearest_proxy_says_who_calls() {
        let forged = "URI=spiffe://agora/users";
        let appended = format!("{forged},{GATEWAY}");
        let quoted = format!(r#"{GATEWAY};Subject="CN=\",URI=spiffe://agora/users;O=x""#);
        let cases: [&[&str]; 4] = [
            &[GATEWAY],
            &[forged, GATEWAY],
            &[appended.as_str()],
            &[quoted.as_str()],
        ];
        for lines in cases {
            let caller = taken(lines, true);
            assert_eq!(
                caller.as_deref(),
                Some("spiffe://agora/gateway"),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn what_is_no_identity_is_none() {
        let long = format!("URI=spiffe://{}", "x".repeat(IDENTITY_BYTES_MAX));
        let two = format!("{GATEWAY};URI=spiffe://agora/users");
        for value in [
            "",
            "URI=",
            "URI=https://agora/gateway",
            "URI=spiffe://agora/two words",
            "By=spiffe://agora/gateway;Hash=0f",
            r#"Subject="URI=spiffe://agora/gateway""#,
            "URI=spiffe://agora/gateway,Hash=0f",
            long.as_str(),
            two.as_str(),
        ] {
            assert_eq!(taken(&[value], true), None, "{value}");
        }
        assert_eq!(taken(&[], true), None);
    }

    #[test]
    fn who_comes_past_the_sidecar_is_not_believed() {
        for address in ["127.0.0.6:40000", "[::1]:40000", "[::ffff:127.0.0.1]:40000"] {
            let caller = taken_from(Some(address), &[GATEWAY], true);
            assert!(caller.is_some(), "{address}");
        }
        for address in [
            "10.0.0.7:40000",
            "[fd00::7]:40000",
            "[::ffff:10.0.0.7]:40000",
        ] {
            assert_eq!(
                taken_from(Some(address), &[GATEWAY], true),
                None,
                "{address}"
            );
        }
        assert_eq!(taken_from(None, &[GATEWAY], true), None);
    }

    #[test]
    fn without_a_sidecar_nobody_is_believed() {
        assert_eq!(taken(&[GATEWAY], false), None);
    }
}
