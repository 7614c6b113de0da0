//! The headers that carry the remaining time of a deadline to the next process.
//!
//! They carry a duration ("800 ms are left"), not a point in time: the clocks of two machines differ by more than a
//! deadline is long, while the transmission time of the header is short and only makes the callee work slightly too
//! long.
//!
//! An invalid header counts as absent: the callee's own limit still applies, and a request should not fail because of a
//! hint. The limit of eight digits is gRPC's and is kept for HTTP, too.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// The remaining time of the caller's deadline over HTTP, in whole milliseconds: `x-request-timeout-ms: 800`. There is
/// no standard header; Envoy's `x-envoy-expected-rq-timeout-ms` has the same form.
pub const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// The remaining time of the caller's deadline over gRPC: `grpc-timeout: 800m`.
pub const GRPC_TIMEOUT_HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

const DIGITS_MAX: usize = 8;
const NUMBER_MAX: u128 = 99_999_999;

/// The value of [`GRPC_TIMEOUT_HEADER`]: at most eight digits in the finest unit that can express `left`, rounded down
/// but never to zero, which the
/// [protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) does not allow.
#[must_use]
pub fn grpc_timeout(left: Duration) -> HeaderValue {
    let (number, unit) = grpc_parts(left);
    value(&format!("{number}{unit}"))
}

fn grpc_parts(left: Duration) -> (u128, char) {
    let nanos = left.as_nanos().max(1);
    UNITS
        .iter()
        .map(|(unit, size)| (nanos / size, *unit))
        .find(|(number, _)| *number <= NUMBER_MAX)
        .unwrap_or((NUMBER_MAX, 'H'))
}

/// gRPC's units from fine to coarse, with their length in nanoseconds.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60 * 1_000_000_000),
    ('H', 3600 * 1_000_000_000),
];

/// Parses the value of [`GRPC_TIMEOUT_HEADER`]; `None` if it is invalid.
#[must_use]
pub fn parse_grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    let number = number(digits)?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The value of [`TIMEOUT_HEADER`], rounded down to whole milliseconds but never to zero, and at most 99,999,999
/// (27 hours).
#[must_use]
pub fn http_timeout(left: Duration) -> HeaderValue {
    value(&left.as_millis().clamp(1, NUMBER_MAX).to_string())
}

/// Parses the value of [`TIMEOUT_HEADER`]; `None` if it is invalid.
#[must_use]
pub fn parse_http_timeout(value: &HeaderValue) -> Option<Duration> {
    number(value.as_bytes()).map(Duration::from_millis)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and a letter are a header value")
}
