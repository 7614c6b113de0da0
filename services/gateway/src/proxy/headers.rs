//! Which headers pass through the gateway.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Headers that are about one connection and not about the message (RFC 9110 section 7.6.1).
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns only the connection that a message came over.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // What `Connection` names goes as well; nearly no message has any, so nothing is copied for those.
    if let Some(named) = headers.get(CONNECTION).cloned() {
        let names = named.to_str().unwrap_or_default().split(',').map(str::trim);
        for name in names {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static HTTP: HeaderValue = HeaderValue::from_static("http");

/// Turns a client's headers into those for the service behind: says who asked, for what and how. What the
/// client said about these itself is not believed, except that `x-forwarded-for` is a list, which grows.
pub(super) fn forward(
    headers: &mut HeaderMap,
    client: Option<HeaderValue>,
    uri: Option<HeaderValue>,
) {
    strip_hop_by_hop(headers);
    // The server has answered it already, when it began to read the body.
    headers.remove(EXPECT);
    match headers.remove(HOST) {
        Some(host) => headers.insert(FORWARDED_HOST.clone(), host),
        None => headers.remove(&FORWARDED_HOST),
    };
    headers.insert(FORWARDED_PROTO.clone(), HTTP.clone());
    match uri {
        Some(uri) => headers.insert(FORWARDED_URI.clone(), uri),
        None => headers.remove(&FORWARDED_URI),
    };
    if let Some(client) = client {
        let list = match headers.get(&FORWARDED_FOR) {
            Some(before) => {
                HeaderValue::from_bytes(&[before.as_bytes(), b", ", client.as_bytes()].concat())
                    .ok()
            }
            None => Some(client),
        };
        if let Some(list) = list {
            headers.insert(FORWARDED_FOR.clone(), list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |&(n, v): &(&'static str, &'static str)| {
            (HeaderName::from_static(n), HeaderValue::from_static(v))
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn what_concerns_the_connection_stays_behind() {
        let mut headers = map(&[
            ("connection", "keep-alive, x-secret"),
            ("keep-alive", "5"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "a"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("accept", "*/*")]));
    }

    #[test]
    fn the_service_behind_learns_who_asked_and_no_forgery_passes() {
        let mut headers = map(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-uri", "/forged"),
            ("expect", "100-continue"),
        ]);
        let value = HeaderValue::from_static;
        forward(
            &mut headers,
            Some(value("1.2.3.4")),
            Some(value("/api/orders")),
        );
        assert_eq!(
            headers,
            map(&[
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-for", "6.6.6.6, 1.2.3.4"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-uri", "/api/orders"),
            ])
        );
    }
}
