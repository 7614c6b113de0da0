//! Paths with a query.

use url::form_urlencoded::Serializer;

/// `path` with those of the parameters that have a value.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::with_query;

    #[test]
    fn only_what_is_given_and_escaped() {
        assert_eq!(
            with_query("/v1/orders", &[("page_size", None)]),
            "/v1/orders"
        );
        assert_eq!(
            with_query(
                "/v1/products",
                &[("page_size", Some("20")), ("q", Some("a b&c=d#é"))]
            ),
            "/v1/products?page_size=20&q=a+b%26c%3Dd%23%C3%A9"
        );
    }
}
