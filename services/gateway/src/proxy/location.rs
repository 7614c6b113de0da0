//! Addresses in answers: `/v1/orders/1` of a service is `/api/orders/1` for the client.

use http::{HeaderMap, HeaderValue, header};

/// Rewrites `Location` from the service's path to the one that the client used. An address outside of the
/// route (another host, another path) is left as it is.
pub(super) fn rewrite(headers: &mut HeaderMap, authority: &str, target: &str, public: &str) {
    let Some(location) = headers.get(header::LOCATION) else {
        return;
    };
    let public = location
        .to_str()
        .ok()
        .and_then(|location| translate(location, authority, target, public));
    if let Some(location) = public.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(header::LOCATION, location);
    }
}

fn translate(location: &str, authority: &str, target: &str, public: &str) -> Option<String> {
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.strip_prefix(authority)?,
        None => location,
    };
    let rest = path.strip_prefix(target)?;
    matches!(rest.as_bytes().first(), None | Some(b'/' | b'?' | b'#'))
        .then(|| format!("{public}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn only_what_lies_within_the_route_is_translated() {
        for (location, expected) in [
            ("/v1/orders/1", Some("/api/orders/1")),
            ("/v1/orders", Some("/api/orders")),
            ("/v1/orders?page_size=1", Some("/api/orders?page_size=1")),
            ("http://127.0.0.1:8081/v1/orders/1", Some("/api/orders/1")),
            ("/v1/orders-archive/1", None),
            ("/v2/orders/1", None),
            ("http://elsewhere/v1/orders/1", None),
            ("http://127.0.0.1:80811/v1/orders/1", None),
        ] {
            let found = translate(location, "127.0.0.1:8081", "/v1/orders", "/api/orders");
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }
}
