//! Who calls, as the service's own sidecar has read it from the caller's certificate.
//!
//! The sidecar replaces what a caller claims to be, so a service that is only reached through one can believe the header. Anywhere
//! else anybody may have written it. So it ends at every door, believed or not: nothing behind a door reads it, or forwards it.

use axum::http::{HeaderMap, HeaderName};

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
pub(crate) fn take_caller(headers: &mut HeaderMap, is_believed: bool) -> Option<String> {
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

    fn taken(lines: &[&str], is_believed: bool) -> Option<String> {
        let line = |line: &&str| {
            let value = HeaderValue::from_str(line).unwrap();
            (CLIENT_CERTIFICATE.clone(), value)
        };
        let mut headers: HeaderMap = lines.iter().map(line).collect();
        let caller = take_caller(&mut headers, is_believed);
        assert!(headers.is_empty(), "{headers:?}");
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
    fn without_a_sidecar_nobody_is_believed() {
        assert_eq!(taken(&[GATEWAY], false), None);
    }
}
