//! The edges between services, with their health: the clients of all replicas, merged.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::said::{Client, Counted, Numbers, Said};

/// The most edges of a state.
const EDGES_MAX: usize = 256;

/// The calls of a service to one peer. A value that no replica reports is `None`.
pub(super) struct Edge<'a> {
    pub(super) from: &'static str,
    pub(super) to: &'a str,
    /// Calls and errors a second.
    pub(super) rate: Option<(f64, f64)>,
    pub(super) now: Option<Numbers>,
}

/// The edges of this poll. Rates are computed for each replica: one that did not answer the previous poll has no counters to
/// subtract, and its totals since the start are not a rate.
pub(super) fn edges<'a>(now: &'a [Said], before: &[Said]) -> Vec<Edge<'a>> {
    let before: HashMap<(&str, SocketAddr), &Said> = before
        .iter()
        .map(|said| ((said.service, said.replica), said))
        .collect();
    let mut edges: BTreeMap<(&str, &str), Edge<'a>> = BTreeMap::new();
    for said in now {
        let before = before.get(&(said.service, said.replica));
        for client in &said.clients {
            let key = (said.service, client.to.as_str());
            if edges.len() >= EDGES_MAX && !edges.contains_key(&key) {
                continue;
            }
            let edge = edges.entry(key).or_insert(Edge {
                from: said.service,
                to: &client.to,
                rate: None,
                now: None,
            });
            let same = |other: &&Client| other.to == client.to;
            let earlier = before.and_then(|said| said.clients.iter().find(same));
            edge.add(client, earlier.map(|earlier| earlier.counted));
        }
    }
    edges.into_values().collect()
}

impl Edge<'_> {
    fn add(&mut self, client: &Client, before: Option<Counted>) {
        let Some(now) = client.now else {
            return;
        };
        if let Some((calls, errors)) = before.and_then(|before| client.counted.since(before)) {
            let (calls_so_far, errors_so_far) = self.rate.unwrap_or_default();
            self.rate = Some((calls_so_far + calls, errors_so_far + errors));
        }
        let Some(all) = &mut self.now else {
            self.now = Some(now);
            return;
        };
        all.shed = all.shed.saturating_add(now.shed);
        all.retries_left = all.retries_left.saturating_add(now.retries_left);
        // Of several replicas, the one in the worst state is shown.
        if badness(now.breaker) > badness(all.breaker) {
            all.breaker = now.breaker;
            all.window = now.window;
        }
    }
}

fn badness(state: &str) -> u8 {
    match state {
        "open" => 2,
        "half_open" => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::said::Answers;
    use super::*;

    /// What replica `n` says at a second of the test; nothing if it has no number of calls.
    fn said(n: u16, second: u64, calls: Option<u64>) -> Said {
        let at = SocketAddr::from(([127, 0, 0, 1], n));
        let clients = calls.map(
            |calls| json!({"clients": {"back": {"endpoints": [{"calls": calls, "failures": 0}], "breaker": null}}}),
        );
        let answers = Answers {
            at: (1_000 + second) * 1_000_000,
            ready: Err("not asked".to_owned()),
            clients,
            faults: None,
            metrics: None,
        };
        Said::of("front", at, &answers)
    }

    fn rate(now: &[Said], before: &[Said]) -> Option<f64> {
        let edges = edges(now, before);
        assert_eq!(edges.len(), 1);
        edges[0].rate.map(|(calls, _)| calls)
    }

    #[test]
    fn a_replica_that_was_late_makes_no_rate_of_its_lifetime() {
        let first = [said(1, 0, Some(100)), said(2, 0, Some(9_000))];
        assert_eq!(rate(&first, &[]), None, "no look before");
        let mut second = [said(1, 1, Some(110)), said(2, 1, None)];
        second[1].recall(&first[1]);
        assert_eq!(rate(&second, &first), Some(10.0), "of the one that says");
        let third = [said(1, 2, Some(120)), said(2, 2, Some(9_040))];
        assert_eq!(
            rate(&third, &second),
            Some(30.0),
            "10 and 40 in two seconds"
        );
        let new = [said(1, 2, Some(120)), said(3, 2, Some(50_000))];
        assert_eq!(rate(&new, &second), Some(10.0), "a new one has no rate yet");
    }

    #[test]
    fn an_edge_of_which_nobody_says_anything_now_is_not_known() {
        let before = [said(1, 0, Some(100))];
        let mut now = [said(1, 1, None)];
        now[0].recall(&before[0]);
        let edges = edges(&now, &before);
        assert_eq!((edges[0].from, edges[0].to), ("front", "back"));
        assert!(edges[0].rate.is_none() && edges[0].now.is_none());
    }
}
