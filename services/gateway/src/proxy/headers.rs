//! The headers that are passed on.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Headers that concern one connection and not the message (RFC 9110 section 7.6.1).
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

/// Removes the headers that concern only the connection of a message.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Headers that `Connection` names are removed as well, of each of its lines, since they concern only this connection. Few
    // messages have any, so nothing is copied for the others.
    if headers.contains_key(CONNECTION) {
        let lines: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        for name in lines
            .iter()
            .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        {
            // An invalid name cannot be the name of a header.
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HTTP: HeaderValue = HeaderValue::from_static("http");

/// Converts a client's headers to those for the service behind, with the client's address and the host. Values that the
/// client sent for these are replaced; other headers of proxies were removed at the door.
pub(super) fn forward(headers: &mut HeaderMap, client: Option<HeaderValue>) {
    strip_hop_by_hop(headers);
    // The server has already answered it by reading the body.
    headers.remove(EXPECT);
    let host = headers.remove(HOST);
    for (name, value) in [
        (&FORWARDED_HOST, host),
        (&FORWARDED_PROTO, Some(HTTP.clone())),
        (&FORWARDED_FOR, client),
    ] {
        match value {
            Some(value) => headers.insert(name.clone(), value),
            None => headers.remove(name),
        };
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
    fn every_line_of_connection_names_headers_whatever_else_it_holds() {
        let mut headers = map(&[("connection", "close"), ("x-one", "1"), ("x-two", "2")]);
        headers.append("x-three", HeaderValue::from_static("3"));
        headers.append(CONNECTION, HeaderValue::from_static("x-one,x-two"));
        let odd = HeaderValue::from_bytes(b"\xff\xfe, x-three ,,").unwrap();
        headers.append(CONNECTION, odd);
        strip_hop_by_hop(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn the_service_behind_learns_who_asked_and_no_forgery_passes() {
        let mut headers = map(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("expect", "100-continue"),
        ]);
        let value = HeaderValue::from_static;
        forward(&mut headers, Some(value("1.2.3.4")));
        assert_eq!(
            headers,
            map(&[
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "http"),
            ])
        );
    }
}
