//! Parsers for the types of values in configurations.

use std::time::Duration;

use url::Url;

/// What [`duration`] accepts, for error messages.
pub(super) const DURATION_ALLOWED: &str = "a duration such as 500ms, 30s, 15m, 1h, 30d or 0";
/// What [`url()`] accepts, for error messages.
pub(super) const URL_ALLOWED: &str = "a URL such as http://127.0.0.1:8080";

/// Parses a duration in the form of the crate `humantime`: `500ms`, `30s`, `15m`, `1h 30m`, `30d` or `0`. A number
/// without a unit is refused, because it could mean seconds or milliseconds.
///
/// # Errors
/// What is allowed.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("it takes {DURATION_ALLOWED}"))
}

/// Parses what [`duration`] accepts, except zero: for limits that could not be met at zero.
///
/// # Errors
/// What is allowed.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "it takes a duration above zero such as 500ms, 30s, 15m".to_owned())
}

/// Parses an `http` or `https` URL with a host.
///
/// # Errors
/// What is allowed.
pub fn url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| format!("it takes {URL_ALLOWED}"))
}

/// Parses an `http` URL, for a client that is built without TLS.
pub(super) fn plain_url(text: &str) -> Result<Url, String> {
    url(text).ok().filter(|url| url.scheme() == "http").ok_or_else(|| {
        "it takes a URL such as http://127.0.0.1:4317 (for TLS put a collector beside the service)".to_owned()
    })
}

/// Validates a PostgreSQL URL and returns it as text. It holds a password, so that the error does not quote it.
///
/// # Errors
/// What is allowed.
pub fn postgres_url(text: &str) -> Result<String, String> {
    use std::str::FromStr;
    let scheme = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if scheme && sqlx::postgres::PgConnectOptions::from_str(text).is_ok() {
        crate::db::tls::check(text)?;
        Ok(text.to_owned())
    } else {
        Err("it takes a URL such as postgres://user:password@127.0.0.1:5432/database".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("0", 0.0),
            ("500ms", 0.5),
            ("1.5s", 1.5),
            ("30s", 30.0),
            ("15m", 900.0),
            ("1h", 3600.0),
            ("1h 30m", 5400.0),
            ("30d", 2_592_000.0),
        ] {
            assert_eq!(
                duration(text).unwrap(),
                Duration::from_secs_f64(seconds),
                "{text}"
            );
        }
        for text in [
            "",
            "30",
            "-1s",
            "s",
            "10S",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(text).unwrap_err().contains("500ms"), "{text}");
        }
        assert_eq!(positive_duration("1ms"), Ok(Duration::from_millis(1)));
        for text in ["0", "0ms", "0h", "30"] {
            assert!(positive_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls() {
        assert!(url("http://127.0.0.1:8080").is_ok());
        for text in ["", "localhost:8080", "127.0.0.1:8080", "ftp://x", "http://"] {
            assert!(url(text).is_err(), "{text}");
        }
        assert!(postgres_url("postgresql://a:b@h/d").is_ok());
        let unread = postgres_url("postgres://a:hunter2@h/d?sslmode=require&sslrootcert=/ca.crt");
        assert!(unread.is_err_and(|text| text.contains("verify-full")));
        assert!(postgres_url("mysql://a:hunter2@h/d").is_err_and(|text| !text.contains("hunter2")));
    }
}
