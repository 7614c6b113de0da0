//! Publishing the rows of a pass: one key strictly in order, different keys at the same time.

use std::collections::HashMap;
use std::time::Duration;

use messaging::{Destination, Message, PublishError};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Shared;
use super::holds::{Fate, View};
use super::row::{Group, Row};

/// After this a pass begins no further publication: lanes must not wait for one busy key.
pub(super) const PASS_BUDGET: Duration = Duration::from_millis(250);
/// A publication without an answer after this counts as failed, whatever the publisher does.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// The most keys with which a destination is probed after it was unavailable.
const PROBES: usize = 8;

/// The plain headers of a trace, and where the event has them.
const TRACE: [(&str, &str); 2] = [
    ("traceparent", "ce_traceparent"),
    ("tracestate", "ce_tracestate"),
];

/// Rows by key and destination, in order.
pub(super) fn group(rows: Vec<Row>) -> Vec<(Group, Vec<Row>)> {
    let mut index: HashMap<Group, usize> = HashMap::new();
    let mut groups: Vec<(Group, Vec<Row>)> = Vec::new();
    for row in rows {
        let group = (row.destination.clone(), row.key.clone());
        let at = *index.entry(group.clone()).or_insert_with(|| {
            groups.push((group, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(row);
    }
    groups
}

/// Keeps, for a destination whose hold has expired, a few keys with one row each. Returns whether it removed any rows.
pub(super) fn probe(groups: &mut Vec<(Group, Vec<Row>)>, view: &View) -> bool {
    let rows =
        |groups: &[(Group, Vec<Row>)]| groups.iter().map(|(_, rows)| rows.len()).sum::<usize>();
    let before = rows(groups);
    for (destination, failures) in &view.probing {
        let keys = groups
            .iter()
            .filter(|(group, _)| group.0 == *destination)
            .count();
        // Spread over all keys and other ones each time: the oldest may be the only ones that fail.
        let stride = keys.div_ceil(PROBES).max(1);
        let mut at = 0;
        groups.retain_mut(|(group, rows)| {
            if group.0 != *destination {
                return true;
            }
            rows.truncate(1);
            at += 1;
            (at - 1) % stride == failures % stride
        });
    }
    rows(groups) < before
}

/// The result of publishing one group.
pub(super) struct Done {
    pub(super) group: Group,
    /// Places of the rows that were acknowledged.
    pub(super) sent: Vec<String>,
    /// `None` if no row of the group was tried.
    pub(super) fate: Option<Fate>,
    /// Rows are left that were not tried.
    pub(super) unfinished: bool,
}

/// Publishes the rows of one group, each one after the last was acknowledged; stops at the first failure.
pub(super) async fn publish_in_order(
    shared: &Shared,
    group: Group,
    rows: Vec<Row>,
    deadline: Instant,
) -> Done {
    let mut done = Done {
        group,
        sent: Vec::with_capacity(rows.len()),
        fate: None,
        unfinished: false,
    };
    let destination = match done.group.0.parse::<Destination>() {
        Ok(destination) => destination,
        Err(error) => {
            done.fate = Some(Fate::Rejected(error.to_string()));
            return done;
        }
    };
    for mut row in rows {
        if Instant::now() >= deadline {
            done.unfinished = true;
            break;
        }
        let place = std::mem::take(&mut row.place);
        let fate = publish_row(shared, &done.group, &destination, row).await;
        let ok = matches!(fate, Fate::Sent);
        done.fate = Some(fate);
        if !ok {
            break;
        }
        done.sent.push(place);
    }
    done
}

/// Publishes one row, under a span of its own, counts what became of it, and does what is to be done once it is published.
async fn publish_row(shared: &Shared, group: &Group, destination: &Destination, row: Row) -> Fate {
    let headers = match row.headers {
        Ok(headers) => headers,
        Err(why) => return Fate::Rejected(why),
    };
    let mut message = Message {
        key: Some(row.key),
        headers: with_trace(headers),
        payload: row.payload.into(),
    };
    let published = (shared.options.published)(destination.name(), &message.headers);
    let span = (shared.options.span)(destination.name(), &mut message.headers, &message.payload);
    let system = shared.publisher.system(destination);
    if !system.is_empty() {
        span.record("messaging.system", system);
    }
    let publish = shared.publisher.publish(destination, message);
    let answer = tokio::time::timeout(PUBLISH_TIMEOUT, publish.instrument(span.clone())).await;
    let fate = match answer {
        Ok(Ok(_)) => Fate::Sent,
        Ok(Err(PublishError::Unavailable(reason))) => Fate::Unavailable(reason),
        Ok(Err(PublishError::Rejected(reason) | PublishError::TooLarge(reason))) => {
            Fate::Rejected(reason)
        }
        Err(_) => Fate::Unavailable(format!("no answer within {} s", PUBLISH_TIMEOUT.as_secs())),
    };
    let name = if matches!(fate, Fate::Sent) {
        if let Some(then) = published {
            then();
        }
        "outbox_published_total"
    } else {
        span.record("error.type", "not_published");
        span.record("otel.status_code", "ERROR");
        "outbox_failed_total"
    };
    metrics::counter!(name, "destination" => group.0.clone()).increment(1);
    fate
}

/// The headers with those that every tracing library looks for, beside the CloudEvents extensions of the same content. They
/// are added here, so that the outbox need not hold them.
fn with_trace(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    for (plain, extension) in TRACE {
        let value_of = |wanted: &str| {
            let header = headers.iter().find(|(name, _)| name == wanted);
            header.map(|(_, value)| value.clone())
        };
        // Other versions of this program write them into the outbox.
        if value_of(plain).is_none()
            && let Some(value) = value_of(extension)
        {
            headers.push((plain.to_owned(), value));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        headers.iter().map(owned).collect()
    }

    #[test]
    fn a_trace_is_in_the_plain_headers_too_and_once() {
        let stored = [
            ("ce_id", "1"),
            ("ce_traceparent", "p"),
            ("ce_tracestate", "s"),
        ];
        let plain = [("traceparent", "p"), ("tracestate", "s")];
        let sent = named(&[&stored[..], &plain[..]].concat());
        assert_eq!(with_trace(named(&stored)), sent);
        assert_eq!(with_trace(sent.clone()), sent, "by another version");
        let without = named(&[("ce_id", "1")]);
        assert_eq!(with_trace(without.clone()), without);
    }
}
