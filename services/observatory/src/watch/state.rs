//! The answers of all admin ports in one poll, merged.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::bounds::ENTRIES_MAX;
use super::depends;
use super::edges::{Edge, edges};
use super::said::{Counts, Said, ask};
use crate::replicas::{Replica, Replicas};
use crate::sky::Sky;

/// The most replicas of a state.
const REPLICAS_MAX: usize = 256;
/// How many replicas are polled at a time: each may return several MiB.
const ASKED_AT_ONCE: usize = 64;

/// The answers of all replicas.
#[derive(Default)]
pub(super) struct Seen(Vec<Said>);

/// Polls all replicas.
pub(super) async fn look(replicas: &Replicas) -> Seen {
    let all: Vec<Replica> = replicas
        .services()
        .iter()
        .flat_map(|service| service.replicas())
        .take(REPLICAS_MAX)
        .collect();
    let asked = stream::iter(all.into_iter().map(ask)).buffered(ASKED_AT_ONCE);
    Seen(asked.collect().await)
}

impl Seen {
    /// Adds the names that replicas do not report now from the previous poll.
    pub(super) fn recall(&mut self, before: &Self) {
        let before: HashMap<(&str, SocketAddr), &Said> = before
            .0
            .iter()
            .map(|said| ((said.service, said.replica), said))
            .collect();
        for said in &mut self.0 {
            if let Some(before) = before.get(&(said.service, said.replica)) {
                said.recall(before);
            }
        }
    }

    /// The state as JSON. All names are cut and all lists bounded, so with the switches it has less than 1 MiB, the longest event
    /// that the page reads. Unknown values are null.
    pub(super) fn show(&self, at: u64, before: &Self, sky: &Sky) -> Value {
        let services = self.0.iter().map(|said| {
            json!({
                "name": said.service, "replica": said.replica,
                "followed": sky.is_followed(said.replica),
                "ready": said.ready.is_ok(), "reason": said.ready.as_ref().err(),
                "silent": said.silent,
            })
        });
        let edges = edges(&self.0, &before.0);
        json!({
            "at": at,
            "services": services.collect::<Value>(),
            "edges": edges.iter().map(|edge| show_edge(edge, sky)).collect::<Value>(),
            "depends": depends::show(self.0.iter().flat_map(Said::dependencies)),
            "outbox": self.outbox(),
            "lag": self.lag(),
            "queues": self.queues(),
            "dead_letters": self.dead_letters(),
            "faults": self.faults(),
            "dropped": sky.dropped(),
        })
    }

    /// The gauges of a kind by their names. Services that share a process report the same gauges, so the highest value counts; one
    /// of them may report what another does not. Of a lag, each replica of a service reports a part.
    fn gauges(&self, of: Counts) -> impl Iterator<Item = (&str, &str, Option<f64>)> {
        let mut by_service: BTreeMap<[&str; 3], Option<f64>> = BTreeMap::new();
        for said in &self.0 {
            for gauge in said.gauges.iter().filter(|gauge| gauge.of == of) {
                let [first, second] = &gauge.names;
                by_service
                    .entry([first.as_str(), second.as_str(), said.service])
                    .and_modify(|value| *value = of_replicas(of, *value, gauge.value))
                    .or_insert(gauge.value);
            }
        }
        let mut found: BTreeMap<(&str, &str), Option<f64>> = BTreeMap::new();
        for ([first, second, _], value) in by_service {
            let so_far = found.entry((first, second)).or_default();
            *so_far = highest(*so_far, value);
        }
        let entries = found.into_iter().take(ENTRIES_MAX);
        entries.map(|((first, second), value)| (first, second, value))
    }

    fn outbox(&self) -> Value {
        let rows = self.gauges(Counts::Outbox);
        rows.map(|(database, _, waiting)| {
            let mut names = self.0.iter().map(|said| said.service);
            let service =
                names.find(|name| database == *name || database.ends_with(&format!("_{name}")));
            json!({ "service": service.unwrap_or(database), "waiting": waiting })
        })
        .collect()
    }

    fn lag(&self) -> Value {
        let rows = self.gauges(Counts::Lag);
        rows.map(|(group, topic, messages)| json!({ "group": group, "topic": topic, "messages": messages })).collect()
    }

    fn queues(&self) -> Value {
        let rows = self.gauges(Counts::Queue);
        rows.map(|(queue, _, depth)| json!({ "queue": queue, "depth": depth }))
            .collect()
    }

    /// The numbers of dead letters, which services count every few seconds. Their lists are not requested, since listing and
    /// redriving exclude each other.
    fn dead_letters(&self) -> Value {
        let rows = self.gauges(Counts::DeadLetters);
        rows.map(|(source, _, count)| json!({ "source": source, "count": count }))
            .collect()
    }

    /// The rules of each replica that accepts them, bounded in total.
    fn faults(&self) -> Value {
        let mut room = ENTRIES_MAX;
        let rules = |said: &Said| {
            let rules = said.rules.as_ref().map(|rules| {
                let shown = &rules[..rules.len().min(room)];
                room -= shown.len();
                json!(shown)
            });
            json!({ "service": said.service, "replica": said.replica, "rules": rules })
        };
        let can_be_broken = self.0.iter().filter(|said| said.takes_faults);
        can_be_broken.map(rules).collect()
    }
}

/// The value of a gauge that two replicas of a service report.
fn of_replicas(of: Counts, one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match of {
        // Each has partitions of its own. While one does not say, what all of them have is not known.
        Counts::Lag => Some(one? + other?),
        Counts::Outbox | Counts::Queue | Counts::DeadLetters => highest(one, other),
    }
}

fn highest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

fn show_edge(edge: &Edge<'_>, sky: &Sky) -> Value {
    let now = edge.now.as_ref();
    json!({
        "from": edge.from, "to": edge.to,
        "per_second": edge.rate.map(|(calls, _)| calls),
        "errors_per_second": edge.rate.map(|(_, errors)| errors),
        "p99_ms": sky.p99_ms(edge.from, edge.to),
        "shed": now.map(|now| now.shed),
        "retries_left": now.map(|now| now.retries_left),
        "breaker": now.map(|now| now.breaker),
        "window": now.and_then(|now| now.window),
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::said::Answers;
    use super::*;
    use crate::switches;

    /// Longest event that the page reads (`web/lib/sse.js` of the gateway).
    const EVENT_BYTES_MAX: usize = 1 << 20;

    fn long(n: usize) -> String {
        format!("{n}{}", "\u{1f4a5}".repeat(200))
    }

    /// More clients than are read, each with a name of its own.
    fn clients(first: usize) -> Value {
        let client = |n: usize| {
            let window = json!({"calls": u64::MAX, "failures": u64::MAX, "more": long(n)});
            let client = json!({
                "endpoints": [{"calls": u64::MAX, "failures": u64::MAX}],
                "breaker": {"state": long(n), "window": window},
                "bulkhead": {"rejected": {"full": u64::MAX}},
                "retry": {"budget_available": u64::MAX},
            });
            (long(n), client)
        };
        let clients: serde_json::Map<String, Value> = (first..first + 64).map(client).collect();
        json!({ "clients": clients })
    }

    fn rules() -> Value {
        let rule = |n| {
            json!({"target": long(n), "kind": long(n), "percent": u64::MAX, "broken": u64::MAX,
                "delay_ms": u64::MAX, "more": long(n)})
        };
        json!({"rules": (0..300).map(rule).collect::<Vec<_>>()})
    }

    fn metrics() -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for n in 0..300 {
            let name = long(n);
            writeln!(text, "outbox_pending{{database=\"{name}\"}} 1e300").unwrap();
            writeln!(text, "messaging_dead_letters{{source=\"{name}\"}} 1e300").unwrap();
            for system in ["kafka", "rabbitmq"] {
                writeln!(
                    text,
                    "messaging_consumer_lag{{messaging_system=\"{system}\",messaging_consumer_group_name=\"{name}\",\
                     messaging_destination_name=\"{name}\"}} 1e300"
                )
                .unwrap();
            }
        }
        text
    }

    /// What the replica of this number says: together they fill every list.
    fn hostile(n: usize) -> Answers {
        let dependency = |of| json!({"name": long(16 * n + of), "state": "starting"});
        let dependencies: Vec<Value> = (0..100).map(dependency).collect();
        let report = json!({ "dependencies": dependencies });
        Answers {
            at: 0,
            ready: Ok((StatusCode::SERVICE_UNAVAILABLE, report.to_string())),
            clients: (n < 16).then(|| clients(64 * n)),
            faults: (n < 2).then(rules),
            metrics: (n < 2).then(metrics),
        }
    }

    #[test]
    fn the_state_is_no_longer_than_the_page_reads() {
        let name: &'static str = Box::leak("x".repeat(64).into_boxed_str());
        let replica = |n: usize| {
            let last = 0xff00 + u16::try_from(n).unwrap();
            let at = SocketAddr::from(([0x2001, 0xdb8, 0xaaaa, 0xbbbb, 1, 2, 3, last], 65_535));
            Said::of(name, at, &hostile(n))
        };
        let seen = Seen((0..REPLICAS_MAX).map(replica).collect());
        let mut state = seen.show(u64::MAX, &Seen::default(), &Sky::new(1 << 20));
        state["switches"] = switches::tests::hostile();
        let length = state.to_string().len();
        assert!(length < EVENT_BYTES_MAX, "{length}");
        for (list, entries) in [
            ("services", REPLICAS_MAX),
            ("edges", 256),
            ("depends", ENTRIES_MAX),
            ("outbox", ENTRIES_MAX),
            ("lag", ENTRIES_MAX),
            ("queues", ENTRIES_MAX),
            ("dead_letters", ENTRIES_MAX),
        ] {
            assert_eq!(state[list].as_array().unwrap().len(), entries, "{list}");
        }
    }

    #[test]
    fn the_lag_of_a_group_is_the_sum_over_replicas_and_not_over_services_of_one_process() {
        let said = |service: &'static str, n: u16, behind: u32| {
            let metrics = format!(
                "messaging_consumer_lag{{messaging_system=\"kafka\",messaging_consumer_group_name=\"products\",\
                 messaging_destination_name=\"order-events\"}} {behind}\noutbox_pending{{database=\"products\"}} 5\n"
            );
            let answers = Answers {
                at: 0,
                ready: Ok((StatusCode::OK, String::new())),
                clients: None,
                faults: None,
                metrics: Some(metrics),
            };
            Said::of(service, SocketAddr::from(([127, 0, 0, 1], n)), &answers)
        };
        let shown = |all: Vec<Said>| Seen(all).show(0, &Seen::default(), &Sky::new(1 << 20));
        let replicas = shown(vec![said("products", 1, 3), said("products", 2, 4)]);
        assert_eq!(replicas["lag"][0]["messages"], 7.0);
        // Each of them sees all of the table.
        assert_eq!(replicas["outbox"][0]["waiting"], 5.0);
        let process = shown(vec![said("orders", 1, 3), said("products", 2, 3)]);
        assert_eq!(process["lag"][0]["messages"], 3.0);
        assert_eq!(of_replicas(Counts::Lag, Some(3.0), None), None);
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut answers = Answers {
            at: 0,
            ready: Ok((StatusCode::OK, String::new())),
            clients: None,
            faults: Some(json!({"rules": []})),
            metrics: Some("messaging_dead_letters{source=\"jobs.dead\"} 3\n".to_owned()),
        };
        let before = Seen(vec![Said::of("mail", at, &answers)]);
        answers.metrics = None;
        answers.faults = None;
        let mut now = Seen(vec![Said::of("mail", at, &answers)]);
        now.recall(&before);
        let sky = Sky::new(1 << 20);
        let shown = before.show(0, &Seen::default(), &sky);
        assert_eq!(
            shown["dead_letters"],
            json!([{"source": "jobs.dead", "count": 3.0}])
        );
        assert_eq!(shown["faults"][0]["rules"], json!([]));
        assert_eq!(shown["services"][0]["silent"], json!(["clients"]));
        let shown = now.show(0, &before, &sky);
        assert_eq!(
            shown["dead_letters"],
            json!([{"source": "jobs.dead", "count": null}])
        );
        assert_eq!(shown["faults"][0]["rules"], Value::Null);
        assert_eq!(
            shown["services"][0]["silent"],
            json!(["clients", "faults", "metrics"])
        );
    }

    #[test]
    fn what_cannot_be_broken_has_no_rules_also_while_it_is_silent() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut answers = Answers {
            at: 0,
            ready: Ok((StatusCode::OK, String::new())),
            clients: None,
            faults: Some(Value::Null),
            metrics: None,
        };
        let before = Seen(vec![Said::of("mail", at, &answers)]);
        answers.faults = None;
        let mut now = Seen(vec![Said::of("mail", at, &answers)]);
        now.recall(&before);
        for seen in [before, now] {
            let shown = seen.show(0, &Seen::default(), &Sky::new(1 << 20));
            assert_eq!(shown["faults"], json!([]));
        }
    }
}
