//! A line for each hop.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::{plain, text};

/// The deepest indentation.
const DEPTH_MAX: usize = 24;

/// The last traces, newest first.
pub(super) fn list(list: &Value) -> String {
    let mut lines = String::new();
    for trace in list["traces"].as_array().into_iter().flatten() {
        // Of one that is not over it is how long it has taken so far.
        let took = trace["ended_at"]
            .as_u64()
            .and(trace["duration_us"].as_u64());
        // Writing to a string does not fail.
        let _ = writeln!(
            lines,
            "{}  {:<5}  {:>9}  {:>3} hops  {}",
            text(trace, "trace_id"),
            text(trace, "outcome"),
            ms(took),
            trace["hops"],
            text(trace, "name"),
        );
    }
    if lines.is_empty() {
        lines.push_str("No traces.\n");
    }
    lines
}

/// One trace. Times are relative to its beginning; the hops that a hop caused are indented below it.
pub(super) fn trace(trace: &Value) -> String {
    let begun = trace["started_at"].as_u64().unwrap_or_default();
    let mut lines = format!(
        "trace {}  {}\n",
        text(trace, "trace_id"),
        text(trace, "name")
    );
    let mut depths: HashMap<&str, usize> = HashMap::new();
    for hop in trace["hops"].as_array().into_iter().flatten() {
        let parent = hop["parent"].as_str().and_then(|parent| depths.get(parent));
        let depth = parent.map_or(0, |depth| (depth + 1).min(DEPTH_MAX));
        if let Some(id) = hop["id"].as_str() {
            depths.insert(id, depth);
        }
        let since = hop["started_at"]
            .as_u64()
            .unwrap_or_default()
            .saturating_sub(begun);
        let _ = writeln!(
            lines,
            "{:>10}  {:indent$}{}",
            ms(Some(since)),
            "",
            told(hop),
            indent = 2 * depth
        );
    }
    if let Some(dropped @ 1..) = trace["dropped"].as_u64() {
        let _ = writeln!(lines, "{dropped} more were dropped");
    }
    lines
}

/// A record of the live stream.
pub(super) fn record(record: &Value) -> String {
    if !record["phase"].is_string() {
        return format!("{}\n", event(record));
    }
    let sign = if record["phase"] == "end" {
        "◀"
    } else {
        "▶"
    };
    format!("{}  {sign} {}\n", text(record, "trace_id"), told(record))
}

/// Other records: breakers, faults, dead letters, and the number of records that this reader missed.
fn event(record: &Value) -> String {
    let service = text(record, "service");
    if let Some(rules) = record["rules"].as_array() {
        let rules: Vec<_> = rules.iter().map(rule).collect();
        let rules = if rules.is_empty() {
            "none".to_owned()
        } else {
            rules.join(", ")
        };
        return format!("faults of {service}: {rules}");
    }
    if record["state"].is_string() {
        let mut line = format!(
            "breaker {service} → {}: {}",
            text(record, "to"),
            text(record, "state")
        );
        if let (Some(failures), Some(calls)) =
            (record["failures"].as_u64(), record["calls"].as_u64())
        {
            let _ = write!(line, ", {failures} of {calls} calls failed");
        }
        return line;
    }
    if let (Some(count), true) = (record["count"].as_u64(), record["what"].is_null()) {
        return format!("{count} records are gone: they came faster than they were read");
    }
    let place = record["topic"].as_str().or(record["queue"].as_str());
    let place = place.map(|place| format!(" ({})", plain(place)));
    format!(
        "{service}: {}{}",
        text(record, "what"),
        place.unwrap_or_default()
    )
}

fn rule(rule: &Value) -> String {
    let mut text = format!("{} → {}", text(rule, "kind"), text(rule, "target"));
    if let Some(ms) = rule["delay_ms"].as_u64() {
        let _ = write!(text, " by {ms} ms");
    }
    if let Some(percent) = rule["percent"].as_u64().filter(|percent| *percent < 100) {
        let _ = write!(text, ", {percent} % of the calls");
    }
    text
}

fn told(hop: &Value) -> String {
    let mut line = format!("{} {}", text(hop, "kind"), way(hop));
    let name = text(hop, "name");
    let _ = write!(line, "  {name}");
    match hop["outcome"].as_str() {
        None => line.push_str("  …"),
        Some(outcome) => {
            let words = plain(outcome).replace('_', " ");
            let status = hop["status"].as_str().map_or_else(|| words.clone(), plain);
            let _ = write!(line, "  {status}  {}", ms(hop["duration_us"].as_u64()));
            if !matches!(outcome, "ok") {
                let _ = write!(line, "  {}", words.to_uppercase());
            }
        }
    }
    if let Some(attempt @ 2..) = hop["attempt"].as_u64() {
        let _ = write!(line, "  attempt {attempt}");
    }
    if let Some(fault) = hop["fault"].as_str() {
        let _ = write!(line, "  injected: {}", plain(fault));
    }
    if let Some(breaker) = hop["breaker"].as_str().filter(|state| *state != "closed") {
        let _ = write!(line, "  breaker {}", plain(breaker));
    }
    line
}

fn way(hop: &Value) -> String {
    let end = |name: &str| hop[name].as_str().map_or_else(|| "·".to_owned(), plain);
    format!("{} → {}", end("from"), end("to"))
}

fn ms(us: Option<u64>) -> String {
    us.map_or_else(|| "…".to_owned(), |us| format!("{:.1} ms", us as f64 / 1e3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_hop_is_a_line_too() {
        for (record_of, line) in [
            (
                json!({"service": "orders", "rules": [{"target": "products", "kind": "delay", "delay_ms": 600, "percent": 20}]}),
                "faults of orders: delay → products by 600 ms, 20 % of the calls\n",
            ),
            (
                json!({"service": "orders", "rules": []}),
                "faults of orders: none\n",
            ),
            (
                json!({"service": "gateway", "to": "orders", "state": "open", "what": "circuit breaker opened", "failures": 10, "calls": 20}),
                "breaker gateway → orders: open, 10 of 20 calls failed\n",
            ),
            (
                json!({"service": "gateway", "to": "orders", "state": "half_open", "what": "circuit breaker probes"}),
                "breaker gateway → orders: half_open\n",
            ),
            (
                json!({"service": "products", "topic": "order-events", "what": "a message is moved\u{1b}"}),
                "products: a message is moved (order-events)\n",
            ),
            (
                json!({"count": 7}),
                "7 records are gone: they came faster than they were read\n",
            ),
        ] {
            assert_eq!(record(&record_of), line);
        }
    }

    #[test]
    fn a_trace_that_is_not_over_has_no_duration_yet() {
        let of = |ended_at: Value| json!({"trace_id": "4b", "outcome": "ok", "ended_at": ended_at, "duration_us": 5_000, "hops": 2, "name": "GET /x"});
        assert_eq!(
            list(&json!({"traces": [of(json!(null)), of(json!(6_000))]})),
            "4b  ok             …  2 hops  GET /x\n\
             4b  ok        5.0 ms  2 hops  GET /x\n"
        );
    }

    #[test]
    fn no_place_is_told_in_words_of_its_own() {
        let full = json!({"from": "gateway", "to": "orders", "kind": "http", "name": "GET /y", "outcome": "no_place",
            "status": null, "duration_us": 0, "attempt": 1, "breaker": "closed"});
        assert_eq!(
            told(&full),
            "http gateway → orders  GET /y  no place  0.0 ms  NO PLACE"
        );
    }

    #[test]
    fn a_line_says_what_went_wrong_and_hides_no_control_characters() {
        let shown = trace(
            &json!({"trace_id": "4b", "name": "GET /x", "started_at": 1_000, "dropped": 2, "hops": [
                {"id": "1", "parent": null, "from": "client", "to": "gateway", "kind": "http", "name": "GET /x",
                 "started_at": 1_000, "outcome": "ok", "status": "200", "duration_us": 5_000, "attempt": 1},
                {"id": "2", "parent": "1", "from": "gateway", "to": "orders", "kind": "http", "name": "GET\u{1b}[2J\n /y",
                 "started_at": 2_500, "outcome": "timeout", "status": null, "duration_us": 2_000, "attempt": 2,
                 "fault": "hang", "breaker": "half_open"},
                {"id": "3", "parent": "2", "from": null, "to": "orders", "kind": "db", "name": "t", "started_at": 3_000},
            ]}),
        );
        assert_eq!(
            shown,
            "trace 4b  GET /x\n    \
             0.0 ms  http client → gateway  GET /x  200  5.0 ms\n    \
             1.5 ms    http gateway → orders  GET[2J /y  timeout  2.0 ms  TIMEOUT  attempt 2  injected: hang  breaker half_open\n    \
             2.0 ms      db · → orders  t  …\n\
             2 more were dropped\n"
        );
    }
}
