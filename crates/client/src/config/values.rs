//! Parses the values of the line of configuration. `None`: the value is not of that form, which the caller says in full.

use std::str::FromStr;
use std::time::Duration;

use super::{AdaptiveSettings, BreakerSettings, BulkheadSettings, HealthCheck};

/// In the form of the crate `humantime`: `500ms`, `5s`, `1m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A whole number of percent: `10%`.
pub(super) fn percent(text: &str) -> Option<u32> {
    text.strip_suffix('%')?.parse().ok()
}

/// `50%/20/5s`: share of failures, fewest calls, time open. `50%@1s`: an answer that takes 1 s is a failure; `20in10s`: the
/// window is the calls of the last 10 s.
pub(super) fn breaker(text: &str) -> Option<BreakerSettings> {
    let mut parts = text.split('/');
    let (share, slow) = with_time(parts.next()?, "@")?;
    let (calls, within) = with_time(parts.next()?, "in")?;
    let settings = BreakerSettings {
        failure_percent: percent(share)?,
        slow,
        min_calls: calls.parse().ok()?,
        within,
        open_for: duration(parts.next()?)?,
    };
    parts.next().is_none().then_some(settings)
}

/// Splits a value from the duration that may follow it after `mark`.
fn with_time<'a>(text: &'a str, mark: &str) -> Option<(&'a str, Option<Duration>)> {
    match text.split_once(mark) {
        Some((value, time)) => Some((value, Some(duration(time)?))),
        None => Some((text, None)),
    }
}

/// `256`, `256+256/500ms`, or either with `8..256@250ms` for the first number.
pub(super) fn bulkhead(text: &str) -> Option<BulkheadSettings> {
    let (places, max_waiting, max_wait) = match text.split_once('/') {
        Some((calls, wait)) => {
            let (places, waiting) = calls.split_once('+')?;
            (places, waiting.parse().ok()?, duration(wait)?)
        }
        None => (text, 0, Duration::ZERO),
    };
    let (max_in_flight, adaptive) = match places.split_once('@') {
        Some((range, late)) => {
            let (min, max) = range.split_once("..")?;
            let (min, late) = (min.parse().ok()?, duration(late)?);
            (max, Some(AdaptiveSettings { min, late }))
        }
        None => (places, None),
    };
    Some(BulkheadSettings {
        max_in_flight: max_in_flight.parse().ok()?,
        adaptive,
        max_waiting,
        max_wait,
    })
}

/// `off`, `grpc`, `/readyz` or `:8091/readyz`.
pub(super) fn health(text: &str) -> Option<HealthCheck> {
    match text {
        "off" => return Some(HealthCheck::Off),
        "grpc" => return Some(HealthCheck::Grpc),
        _ => {}
    }
    let slash = text.find('/')?;
    let (port, path) = text.split_at(slash);
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    // The path is later sent to the peer unchanged, so that it must be valid now.
    http::uri::PathAndQuery::from_str(path).ok()?;
    Some(HealthCheck::Http {
        port,
        path: path.to_owned(),
    })
}
