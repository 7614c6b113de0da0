//! The causal order of the hops of a trace: no hop comes before its cause, whatever the clocks say.
//!
//! The clocks of machines differ. The cause of a hop is known, so its time is corrected where necessary: a server's hop lies
//! within its client's, and no hop begins before its parent. The correction of a service's hop is applied to its later hops in
//! the trace as well, since they have the same clock.

use std::collections::HashMap;

use super::hop::{Hop, HopId, Side};

/// The hops with corrected times, ordered by them; a parent always comes before its children.
pub(crate) fn ordered(hops: &[Hop]) -> Vec<Hop> {
    let depths = depths(hops);
    let mut order: Vec<usize> = (0..hops.len()).collect();
    order.sort_by_key(|&at| (depths[at], hops[at].started_at));
    let index = index(hops);
    let mut corrected: Vec<Hop> = hops.to_vec();
    // How much each service's clock is behind, as far as this trace shows.
    let mut offsets: HashMap<&str, i64> = HashMap::new();
    for &at in &order {
        let hop = &hops[at];
        let parent = match depths[at] {
            0 => None,
            _ => hop
                .parent
                .and_then(|parent| index.get(&parent))
                .map(|&at| corrected[at].clone()),
        };
        let guess = moved(
            hop,
            offsets
                .get(hop.service.as_str())
                .copied()
                .unwrap_or_default(),
        );
        let start = match &parent {
            Some(parent) => place(&guess, parent),
            None => guess.started_at,
        };
        let by = difference(start, hop.started_at);
        // A wait in an outbox begins with an event, whose time is from the same clock.
        offsets.entry(&hop.service).or_insert(by);
        corrected[at] = moved(hop, by);
        corrected[at].from = from(hop, parent.as_ref());
    }
    name_servers(&mut corrected);
    number_attempts(&mut corrected, &order);
    let mut sorted: Vec<(usize, Hop)> = corrected.into_iter().enumerate().collect();
    sorted.sort_by_key(|(at, hop)| (hop.started_at, depths[*at], *at));
    sorted.into_iter().map(|(_, hop)| hop).collect()
}

/// The index of the first hop of each id. Ids are unique, so of two hops with the same id one is invalid.
fn index(hops: &[Hop]) -> HashMap<HopId, usize> {
    let mut index = HashMap::with_capacity(hops.len());
    for (at, hop) in hops.iter().enumerate() {
        index.entry(hop.id).or_insert(at);
    }
    index
}

/// How many known ancestors each hop has. A hop that would be its own ancestor has none.
fn depths(hops: &[Hop]) -> Vec<usize> {
    let index = index(hops);
    let mut depths = vec![None; hops.len()];
    for start in 0..hops.len() {
        let mut path = vec![start];
        let mut base = 0;
        loop {
            let last = path[path.len() - 1];
            if let Some(depth) = depths[last] {
                path.pop();
                base = depth + 1;
                break;
            }
            let parent = hops[last]
                .parent
                .and_then(|parent| index.get(&parent).copied());
            match parent {
                // A cycle has no first hop: it is cut where it was entered.
                Some(parent) if !path.contains(&parent) => path.push(parent),
                _ => break,
            }
        }
        for at in path.into_iter().rev() {
            depths[at] = Some(base);
            base += 1;
        }
    }
    depths.into_iter().map(Option::unwrap_or_default).collect()
}

/// The corrected start of a hop, given its parent.
fn place(hop: &Hop, parent: &Hop) -> u64 {
    let earliest = parent.started_at;
    let is_call = hop.side == Side::Server && parent.side == Side::Client;
    let (Some(duration), Some(end)) = (hop.duration_us, parent.ended_at) else {
        return hop.started_at.max(earliest);
    };
    let latest = end.saturating_sub(duration);
    if !is_call || latest < earliest {
        // A message may be handled at any later time, and a server may run longer than its client waits.
        return hop.started_at.max(earliest);
    }
    if (earliest..=latest).contains(&hop.started_at) {
        return hop.started_at;
    }
    // The clocks differ: centred, as if request and answer took equally long on the way.
    earliest + (latest - earliest) / 2
}

fn moved(hop: &Hop, by: i64) -> Hop {
    let mut hop = hop.clone();
    hop.started_at = hop.started_at.saturating_add_signed(by);
    hop.ended_at = hop
        .duration_us
        .map(|duration| hop.started_at.saturating_add(duration));
    hop
}

fn difference(to: u64, from: u64) -> i64 {
    i64::try_from(i128::from(to) - i128::from(from)).unwrap_or_default()
}

/// The caller's name, which the parent has; without a parent the caller is outside of the system.
fn from(hop: &Hop, parent: Option<&Hop>) -> Option<String> {
    if hop.side != Side::Server {
        return hop.from.clone();
    }
    Some(parent.map_or_else(|| "client".to_owned(), |parent| parent.service.clone()))
}

/// Replaces the peer's name in a client's hop, which is that of the client, by the name of the service that answered.
fn name_servers(hops: &mut [Hop]) {
    let servers = hops.iter().filter(|hop| hop.side == Side::Server);
    let answered: HashMap<HopId, String> = servers
        .filter_map(|hop| Some((hop.parent?, hop.service.clone())))
        .collect();
    for hop in hops.iter_mut().filter(|hop| hop.side == Side::Client) {
        if let Some(service) = answered.get(&hop.id) {
            hop.to = Some(service.clone());
        }
    }
}

/// Numbers the attempts to publish a message, which have the same parent. The relay itself does not count them.
fn number_attempts(hops: &mut [Hop], order: &[usize]) {
    let mut counts: HashMap<HopId, u32> = HashMap::new();
    for &at in order {
        let hop = &mut hops[at];
        if let (Side::Producer, Some(parent)) = (hop.side, hop.parent) {
            let count = counts.entry(parent).or_default();
            *count += 1;
            hop.attempt = hop.attempt.max(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::hop::Record;
    use super::super::hop::tests::{NOW, ended, raw};
    use super::*;

    fn hops(records: &[Value]) -> Vec<Hop> {
        let read = |record: &Value| Record::read(record, NOW + 1_000_000).unwrap().hop;
        records.iter().map(read).collect()
    }

    fn position(hops: &[Hop], id: HopId) -> usize {
        hops.iter().position(|hop| hop.id == id).unwrap()
    }

    #[test]
    fn a_server_lies_within_its_call_whatever_its_clock_says() {
        for skew in [-300_000_000_i64, -5_000, 0, 5_000, 300_000_000] {
            let at = |us: u64| (NOW + us).saturating_add_signed(skew);
            let ordered = ordered(&hops(&[
                ended(raw(1, 1, 0, "server", "a", NOW), 10_000),
                ended(raw(1, 2, 1, "client", "a", NOW + 1_000), 8_000),
                ended(raw(1, 3, 2, "server", "b", at(2_000)), 4_000),
                ended(raw(1, 4, 3, "client", "b", at(3_000)), 1_000),
            ]));
            let ids: Vec<_> = ordered.iter().map(|hop| hop.id).collect();
            assert_eq!(ids, [1, 2, 3, 4], "{skew}");
            let (call, server, inner) = (&ordered[1], &ordered[2], &ordered[3]);
            assert!(server.started_at >= call.started_at && server.ended_at <= call.ended_at);
            assert_eq!(
                inner.started_at - server.started_at,
                1_000,
                "the same clock"
            );
            assert_eq!(server.from.as_deref(), Some("a"));
            assert_eq!(call.to.as_deref(), Some("b"));
            assert_eq!(ordered[0].from.as_deref(), Some("client"));
        }
    }

    #[test]
    fn a_message_is_not_handled_before_it_is_sent() {
        let ordered = ordered(&hops(&[
            ended(raw(1, 2, 1, "consumer", "b", NOW - 9_000), 500),
            ended(raw(1, 1, 0, "producer", "a", NOW), 100),
        ]));
        assert_eq!(ordered[0].id, 1);
        assert_eq!(ordered[1].started_at, NOW);
        assert_eq!(ordered[1].duration_us, Some(500));
    }

    #[test]
    fn circles_and_orphans_end() {
        let mut records = vec![
            raw(1, 1, 1, "server", "a", NOW),
            raw(1, 2, 3, "server", "a", NOW),
            raw(1, 3, 4, "client", "b", NOW),
            raw(1, 4, 2, "server", "c", NOW),
            raw(1, 5, 99, "server", "d", NOW),
        ];
        // Each hop is a parent of the others.
        records.extend((10..400).map(|id| {
            raw(
                1,
                id,
                if id == 399 { 10 } else { id + 1 },
                "client",
                "e",
                NOW,
            )
        }));
        let hops = hops(&records);
        assert_eq!(ordered(&hops).len(), records.len());
    }

    #[test]
    fn tries_to_publish_are_numbered() {
        let ordered = ordered(&hops(&[
            raw(1, 9, 0, "internal", "a", NOW),
            ended(raw(1, 3, 9, "producer", "a", NOW + 300), 10),
            ended(raw(1, 2, 9, "producer", "a", NOW + 100), 10),
            ended(raw(1, 4, 3, "consumer", "b", NOW), 10),
        ]));
        let attempts: Vec<_> = ordered.iter().map(|hop| (hop.id, hop.attempt)).collect();
        assert_eq!(attempts, [(9, 1), (2, 1), (3, 2), (4, 1)]);
        assert!(position(&ordered, 4) > position(&ordered, 3));
    }
}
