//! The W3C recommendations' limits on trace context.

use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::TraceState;

use super::{TRACEPARENT, TRACESTATE};

/// The most entries of a `tracestate` (section 3.3.1.1); further ones are dropped.
const TRACESTATE_ENTRIES_MAX: usize = 32;
/// The bytes of a `tracestate` that every implementation must pass on (section 3.3.1.5); we pass on no more.
const TRACESTATE_BYTES_MAX: usize = 512;
/// If there are too many bytes, entries longer than this are dropped first.
const TRACESTATE_ENTRY_BYTES_LONG: usize = 128;

const BAGGAGE: &str = "baggage";
/// The bytes of a `baggage` that every implementation must pass on (W3C Baggage, section 3.3.2).
const BAGGAGE_BYTES_MAX: usize = 8192;
/// The most entries of a `baggage`: the limit before it was changed to 64 that must be passed on.
const BAGGAGE_ENTRIES_MAX: usize = 180;

/// Keeps in `headers` only what is valid and within the limits: one `traceparent`, one `tracestate` with it, one
/// `baggage`. Whole entries are dropped, from the end.
pub fn clean(headers: &mut HeaderMap) {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = parents.next().and_then(|parent| parent.to_str().ok());
    if !parent.is_some_and(is_traceparent) || parents.next().is_some() {
        // A `tracestate` has no meaning without its `traceparent`.
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
    replace(headers, TRACESTATE, tracestate);
    replace(headers, BAGGAGE, baggage);
}

fn replace(headers: &mut HeaderMap, name: &'static str, cleaned: fn(&str) -> Option<String>) {
    if !headers.contains_key(name) {
        return;
    }
    let value = text(headers, name).and_then(|text| cleaned(&text));
    headers.remove(name);
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// All lines of a field as one list.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Result<Vec<_>, _> = lines.map(HeaderValue::to_str).collect();
    lines
        .ok()
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.join(","))
}

/// `00-{32 hex}-{16 hex}-{2 hex}` in lower case, neither id zero. Of a later version, only the part that is known is
/// checked. OpenTelemetry's own parser accepts shorter ids, too.
pub(super) fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, digits| is_hex(part, digits) && part.bytes().any(|b| b != b'0');
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let version = next();
    is_hex(version, 2)
        && version != "ff"
        && is_id(next(), 32)
        && is_id(next(), 16)
        && is_hex(next(), 2)
        && (version != "00" || parts.next().is_none())
}

/// The `tracestate` cut to its limits; `None` if it is invalid.
pub(super) fn tracestate(text: &str) -> Option<String> {
    let mut entries = entries(text);
    entries.truncate(TRACESTATE_ENTRIES_MAX);
    if length(&entries) > TRACESTATE_BYTES_MAX {
        entries.retain(|entry| entry.len() <= TRACESTATE_ENTRY_BYTES_LONG);
    }
    let cut = within(entries, TRACESTATE_BYTES_MAX)?;
    TraceState::from_str(&cut).is_ok().then_some(cut)
}

fn baggage(text: &str) -> Option<String> {
    let mut entries = entries(text);
    entries.truncate(BAGGAGE_ENTRIES_MAX);
    within(entries, BAGGAGE_BYTES_MAX)
}

fn entries(text: &str) -> Vec<&str> {
    text.split(',')
        .map(|entry| entry.trim_matches([' ', '\t']))
        .filter(|entry| !entry.is_empty())
        .collect()
}

fn length(entries: &[&str]) -> usize {
    let commas = entries.len().saturating_sub(1);
    entries.iter().map(|entry| entry.len()).sum::<usize>() + commas
}

/// As many of the first entries as fit into `bytes`; `None` if none does.
fn within(mut entries: Vec<&str>, bytes: usize) -> Option<String> {
    while length(&entries) > bytes {
        entries.pop();
    }
    (!entries.is_empty()).then(|| entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn cleaned(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        clean(&mut headers);
        headers
    }

    #[test]
    fn only_a_valid_parent_is_taken() {
        for bad in [
            "",
            "rubbish",
            "00-1-1-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
            let headers = cleaned(&[("traceparent", bad), ("tracestate", "a=1")]);
            assert!(headers.is_empty(), "{bad}: {headers:?}");
        }
        assert!(is_traceparent(PARENT));
        assert!(is_traceparent(&format!("cc{}-more", &PARENT[2..])));
        let twice = cleaned(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn a_long_state_loses_whole_entries_from_its_end() {
        let many: Vec<_> = (0..40).map(|n| format!("k{n}=v")).collect();
        let kept = tracestate(&many.join(", ")).unwrap();
        assert_eq!(kept, many[..32].join(","));

        let value = "v".repeat(100);
        let long: Vec<_> = (0..10).map(|n| format!("k{n}={value}")).collect();
        let kept = tracestate(&long.join(",")).unwrap();
        assert_eq!(kept, long[..4].join(","));

        // An entry that is too long by itself is dropped before those behind it.
        let one = format!("big={}", "v".repeat(250));
        let state = format!("{one},{one},small=1");
        assert_eq!(tracestate(&state).unwrap(), "small=1");
        assert_eq!(tracestate(&format!("a={}", "v".repeat(16_000))), None);
        assert_eq!(tracestate("no entry"), None);
        let lines = cleaned(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
        ]);
        assert_eq!(lines["tracestate"], "a=1,b=2");
    }

    #[test]
    fn baggage_is_bounded() {
        let many: Vec<_> = (0..400)
            .map(|n| format!("k{n}={}", "v".repeat(80)))
            .collect();
        let kept = baggage(&many.join(",")).unwrap();
        assert!(kept.len() <= BAGGAGE_BYTES_MAX && many.join(",").starts_with(&kept));
        assert_eq!(baggage("a=1 , b=2").as_deref(), Some("a=1,b=2"));
    }
}
