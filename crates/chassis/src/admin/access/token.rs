//! The token for changes through the admin port.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// The shortest token, in characters; with random letters and digits that is 95 bits.
const LENGTH_MIN: usize = 16;
/// The longest token, in characters: it must fit in a header.
const LENGTH_MAX: usize = 512;

/// A secret that is never logged. It is compared in constant time, so that timing reveals at most its length.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// The token itself. Use it only to pass it on to a service that is started with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the request has exactly one `Authorization` header, with this bearer token.
    #[must_use]
    pub fn is_presented(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer")
            && token.trim().as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl FromStr for AdminToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (LENGTH_MIN..=LENGTH_MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "it takes {LENGTH_MIN} to {LENGTH_MAX} printable characters without spaces, such as `openssl rand -hex 24` makes"
            ))
        }
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn presented(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        TOKEN.parse::<AdminToken>().unwrap().is_presented(&headers)
    }

    #[test]
    fn one_bearer_token_and_the_right_one() {
        for good in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef"] {
            assert!(presented(&[good]), "{good}");
        }
        for bad in [
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer ",
            "Bearer",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!presented(&[bad]), "{bad}");
        }
        assert!(!presented(&[]));
        assert!(!presented(&["Bearer 0123456789abcdef", "Bearer x"]));
    }

    #[test]
    fn short_ones_are_refused_and_none_is_shown() {
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcdé"] {
            let error = bad.parse::<AdminToken>().unwrap_err();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        assert_eq!(format!("{:?}", TOKEN.parse::<AdminToken>().unwrap()), "…");
    }
}
