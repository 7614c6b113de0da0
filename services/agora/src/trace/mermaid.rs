//! A trace as a Mermaid sequence diagram.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

/// A line of the diagram: its time, its place among those of the same time, its text.
type Step = (u64, usize, String);

/// The diagram. A call is an arrow and its answer; a message is an open arrow to its topic or queue and one from there; work
/// within a service is a note.
pub(super) fn diagram(trace: &Value) -> String {
    let hops: Vec<&Value> = trace["hops"].as_array().into_iter().flatten().collect();
    // Both sides report a call: the server's hop is drawn only if the client's is missing.
    let clients: Vec<&str> = hops
        .iter()
        .filter(|hop| hop["side"] == "client")
        .filter_map(|hop| hop["id"].as_str())
        .collect();
    let is_known = |hop: &Value| {
        let parent = hop["parent"].as_str();
        hop["side"] == "server" && parent.is_some_and(|parent| clients.contains(&parent))
    };
    let mut lanes = Lanes::default();
    let mut steps: Vec<Step> = Vec::new();
    for (at, hop) in hops.iter().copied().enumerate() {
        if !is_known(hop) {
            // An answer comes after everything that happens within its call.
            let (first, last) = (at, hops.len() + hops.len() - at);
            steps.push(step(hop, first, &mut lanes));
            steps.extend(answer(hop, last, &mut lanes));
        }
    }
    steps.sort();
    let mut text = "sequenceDiagram\n".to_owned();
    for (at, name) in lanes.names.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    participant p{at} as {name}");
    }
    for (_, _, step) in steps {
        let _ = writeln!(text, "    {step}");
    }
    text
}

/// The first step of a hop: an arrow, or a note.
fn step(hop: &Value, place: usize, lanes: &mut Lanes) -> Step {
    let (from, to) = lanes.ends(hop);
    let name = clean(hop["name"].as_str().unwrap_or("?"));
    let name = match hop["attempt"].as_u64() {
        Some(attempt) if attempt > 1 => format!("{name} (attempt {attempt})"),
        _ => name,
    };
    let text = match hop["kind"].as_str().unwrap_or_default() {
        "kafka" | "queue" => format!("{from}-){to}: {name}"),
        "db" => format!("Note over {from}: {name}, {}", took(hop)),
        "outbox" => format!("Note over {from}: outbox, waited {}", took(hop)),
        _ if is_stopped(hop) => format!("{from}-x{to}: {name}: {}", why_stopped(hop)),
        _ => format!("{from}->>{to}: {name}"),
    };
    (hop["started_at"].as_u64().unwrap_or_default(), place, text)
}

/// Whether a call was stopped before it left: a refusal with a status is an answer.
fn is_stopped(hop: &Value) -> bool {
    matches!(hop["outcome"].as_str(), Some("refused" | "no_place")) && hop["status"].is_null()
}

fn why_stopped(hop: &Value) -> &'static str {
    match hop["outcome"] == "refused" {
        true => "refused by the breaker",
        false => "found no place",
    }
}

/// The answer of a call that was sent and has ended.
fn answer(hop: &Value, place: usize, lanes: &mut Lanes) -> Option<Step> {
    if matches!(
        hop["kind"].as_str(),
        Some("kafka" | "queue" | "db" | "outbox")
    ) || is_stopped(hop)
    {
        return None;
    }
    let ended = hop["ended_at"].as_u64()?;
    let (from, to) = lanes.ends(hop);
    let status = hop["status"].as_str().or(hop["outcome"].as_str());
    let status = clean(status.unwrap_or("?"));
    let arrow = match hop["outcome"] == "ok" {
        true => "-->>",
        false => "--x",
    };
    Some((
        ended,
        place,
        format!("{to}{arrow}{from}: {status}, {}", took(hop)),
    ))
}

fn took(hop: &Value) -> String {
    match hop["duration_us"].as_u64() {
        Some(us) => format!("{:.1} ms", us as f64 / 1e3),
        None => "still".to_owned(),
    }
}

#[derive(Default)]
struct Lanes {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Lanes {
    /// The lanes that a hop goes from and to.
    fn ends(&mut self, hop: &Value) -> (String, String) {
        let mut end = |name: &str| self.of(&clean(hop[name].as_str().unwrap_or("somebody")));
        (end("from"), end("to"))
    }

    fn of(&mut self, name: &str) -> String {
        let at = *self.index.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("p{at}")
    }
}

/// Removes characters with a meaning in Mermaid.
fn clean(text: &str) -> String {
    let allowed =
        |c: char| !c.is_control() && !matches!(c, ';' | '#' | '<' | '>' | '%' | '"' | ':');
    text.chars()
        .map(|c| if allowed(c) { c } else { ' ' })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_are_pairs_and_messages_are_open() {
        let hop = |id: &str,
                   parent: &str,
                   from: &str,
                   to: &str,
                   kind: &str,
                   side: &str,
                   at: u64,
                   took: u64| {
            json!({"id": id, "parent": parent, "from": from, "to": to, "kind": kind, "side": side, "name": "GET /x;<b>",
                   "started_at": at, "ended_at": at + took, "duration_us": took, "outcome": "ok", "status": "200"})
        };
        let trace = json!({"hops": [
            hop("1", "", "client", "gateway", "http", "server", 0, 9_000),
            hop("2", "1", "gateway", "orders", "http", "client", 1_000, 7_000),
            hop("3", "2", "gateway", "orders", "http", "server", 2_000, 5_000),
            hop("4", "3", "orders", "events", "kafka", "producer", 3_000, 1_000),
        ]});
        assert_eq!(
            diagram(&trace),
            "sequenceDiagram\n    \
             participant p0 as client\n    \
             participant p1 as gateway\n    \
             participant p2 as orders\n    \
             participant p3 as events\n    \
             p0->>p1: GET /x  b \n    \
             p1->>p2: GET /x  b \n    \
             p2-)p3: GET /x  b \n    \
             p2-->>p1: 200, 7.0 ms\n    \
             p1-->>p0: 200, 9.0 ms\n"
        );
    }

    #[test]
    fn a_call_that_was_not_sent_has_no_answer() {
        let hop = |outcome: &str, status: Value| {
            json!({"from": "gateway", "to": "orders", "kind": "http", "side": "client", "name": "GET /x",
                   "started_at": 0, "ended_at": 0, "duration_us": 0, "outcome": outcome, "status": status})
        };
        let trace = json!({"hops": [
            hop("refused", Value::Null),
            hop("no_place", Value::Null),
            hop("refused", json!("503")),
        ]});
        assert_eq!(
            diagram(&trace),
            "sequenceDiagram\n    \
             participant p0 as gateway\n    \
             participant p1 as orders\n    \
             p0-xp1: GET /x: refused by the breaker\n    \
             p0-xp1: GET /x: found no place\n    \
             p0->>p1: GET /x\n    \
             p1--xp0: 503, 0.0 ms\n"
        );
    }
}
