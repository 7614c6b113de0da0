//! What services depend on, as their readiness reports say.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::bounds::{ENTRIES_MAX, cut};

/// The most dependencies of one replica.
const DEPENDENCIES_MAX: usize = 16;
/// The longest name of a dependency, in characters.
const NAME_CHARS_MAX: usize = 40;
/// The longest reason why a replica is not ready, in characters.
const REASON_CHARS_MAX: usize = 120;
/// The states of a dependency, from the best to the worst.
const STATES: [&str; 4] = ["up", "degraded", "starting", "down"];

/// A dependency of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    name: String,
    /// Its place among [`STATES`]; `None` if the replica did not say.
    rank: Option<usize>,
}

/// Whether a replica is ready, and else why not; and what it depends on, if it said so.
pub(super) fn readiness(
    answer: &Result<(StatusCode, String), String>,
) -> (Result<(), String>, Option<Vec<Dependency>>) {
    let (status, report) = match answer {
        Ok((status, report)) => (status, report),
        Err(why) => return (Err(cut(why, REASON_CHARS_MAX)), None),
    };
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    let ready = match status.is_success() {
        true => Ok(()),
        false => Err(waits_for(&report)),
    };
    (ready, Some(read(&report)))
}

/// The dependencies of a report; those in a state that nobody knows are left out.
fn read(report: &Value) -> Vec<Dependency> {
    let listed = report["dependencies"].as_array().into_iter().flatten();
    let read = |dependency: &Value| {
        let state = dependency["state"].as_str()?;
        Some(Dependency {
            name: cut(dependency["name"].as_str()?, NAME_CHARS_MAX),
            rank: Some(STATES.iter().position(|known| *known == state)?),
        })
    };
    listed.filter_map(read).take(DEPENDENCIES_MAX).collect()
}

/// The dependencies of a report that are not up, in words.
fn waits_for(report: &Value) -> String {
    let missing: Vec<&str> = report["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["state"] != "up")
        .filter_map(|dependency| dependency["name"].as_str())
        .take(DEPENDENCIES_MAX)
        .collect();
    match missing.is_empty() {
        true => "it is not ready".to_owned(),
        false => cut(
            &format!("it waits for {}", missing.join(", ")),
            REASON_CHARS_MAX,
        ),
    }
}

/// The same names, of states that are not known.
pub(super) fn unknown(before: &[Dependency]) -> Vec<Dependency> {
    let forget = |dependency: &Dependency| Dependency {
        rank: None,
        ..dependency.clone()
    };
    before.iter().map(forget).collect()
}

/// The dependencies of all services. Of several replicas the worst counts: a link may be cut for one of them.
pub(super) fn show<'a>(all: impl Iterator<Item = (&'static str, &'a Dependency)>) -> Value {
    let mut found: BTreeMap<(&str, &str), Option<usize>> = BTreeMap::new();
    for (service, dependency) in all {
        let rank = found
            .entry((service, dependency.name.as_str()))
            .or_default();
        *rank = dependency.rank.max(*rank);
    }
    let found = found.into_iter().take(ENTRIES_MAX);
    found
        .map(|((service, on), rank)| {
            json!({ "service": service, "on": on, "state": rank.map(|rank| STATES[rank]) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::said::{Answers, Said};
    use super::*;

    fn said(port: u16, ready: Result<(StatusCode, String), String>) -> Said {
        let answers = Answers {
            at: 0,
            ready,
            clients: None,
            faults: None,
            metrics: None,
        };
        Said::of("mail", SocketAddr::from(([127, 0, 0, 1], port)), &answers)
    }

    fn shown(all: &[Said]) -> Value {
        show(all.iter().flat_map(Said::dependencies))
    }

    fn report(state: &str) -> Result<(StatusCode, String), String> {
        let dependencies = json!([
            {"name": "postgres", "state": state},
            {"name": "post\u{7}", "state": "outside"},
            {"name": 7, "state": "up"},
        ]);
        let report = json!({"dependencies": dependencies}).to_string();
        Ok((StatusCode::OK, report))
    }

    #[test]
    fn the_worst_of_replicas_counts() {
        let worst = |first: &str, second: &str| {
            let all = [said(1, report(first)), said(2, report(second))];
            shown(&all)[0]["state"].clone()
        };
        assert_eq!(worst("up", "up"), "up");
        assert_eq!(worst("up", "down"), "down");
        assert_eq!(worst("down", "starting"), "down");
        let one = shown(&[said(1, report("degraded"))]);
        let expected = json!([{"service": "mail", "on": "postgres", "state": "degraded"}]);
        assert_eq!(one, expected);
    }

    #[test]
    fn what_does_not_answer_keeps_the_names_of_what_it_depends_on() {
        let before = said(1, report("up"));
        let mut now = said(1, Err("connection refused".to_owned()));
        assert_eq!(shown(std::slice::from_ref(&now)), json!([]));
        now.recall(&before);
        let state = shown(std::slice::from_ref(&now));
        assert_eq!(
            state,
            json!([{"service": "mail", "on": "postgres", "state": null}])
        );
        // Another replica that answers knows.
        let state = shown(&[now, said(2, report("up"))]);
        assert_eq!(state[0]["state"], "up");
    }
}
