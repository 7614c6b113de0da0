//! One hop, merged from its two records.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use super::details::Details;
use crate::text::{allocated, cut};

/// The largest plausible difference between a record's time and its arrival, in microseconds: 10 minutes.
const SKEW_MAX_US: u64 = 600_000_000;

/// A trace's id.
pub(crate) type TraceId = u128;
/// A hop's id in its trace.
pub(crate) type HopId = u64;

/// A record as an admin port sends it. Fields that are missing or of another type are as if absent.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    phase: Cow<'a, str>,
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    #[serde(default)]
    parent_span_id: Option<String>,
    service: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    kind: String,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    attempt: u32,
    at: u64,
    #[serde(default)]
    duration_us: Option<u64>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    fault: Option<String>,
    #[serde(default)]
    breaker: Option<String>,
    #[serde(default)]
    causation_id: Option<String>,
    #[serde(default)]
    sequence: Option<u64>,
    #[serde(default)]
    detail: Details,
}

/// A hop, as far as it is known.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Hop {
    #[serde(serialize_with = "hex16")]
    pub(crate) id: HopId,
    #[serde(serialize_with = "hex16_or_null")]
    pub(crate) parent: Option<HopId>,
    pub(crate) service: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) kind: String,
    pub(crate) side: Side,
    pub(crate) name: String,
    pub(crate) attempt: u32,
    pub(crate) outcome: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) fault: Option<String>,
    pub(crate) breaker: Option<String>,
    pub(crate) causation_id: Option<String>,
    pub(crate) sequence: Option<u64>,
    pub(crate) started_at: u64,
    pub(crate) ended_at: Option<u64>,
    pub(crate) duration_us: Option<u64>,
    pub(crate) detail: Details,
}

/// The side of a hop that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Client,
    Server,
    Producer,
    Consumer,
    Internal,
}

impl Side {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "client" => Self::Client,
            "server" => Self::Server,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            "internal" => Self::Internal,
            _ => return None,
        })
    }
}

/// A valid record: the start or the end of a hop.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) trace: TraceId,
    pub(crate) hop: Hop,
}

impl Record {
    /// Reads a record that arrived at `now` (microseconds since the Unix epoch). Long text is cut, and an implausible time is
    /// replaced. `None` if it is not a record of a hop.
    pub(crate) fn read<'de>(value: impl Deserializer<'de>, now: u64) -> Option<Self> {
        let raw = Raw::deserialize(value).ok()?;
        let has_ended = match &*raw.phase {
            "start" => false,
            "end" => true,
            _ => return None,
        };
        let side = Side::read(&raw.side)?;
        let trace = id(&raw.trace_id, 32)?;
        let hop_id = HopId::try_from(id(&raw.span_id, 16)?).ok()?;
        let parent = raw.parent_span_id.as_deref().and_then(|text| id(text, 16));
        let duration = has_ended.then(|| raw.duration_us.unwrap_or_default().min(now));
        // Only a wait in an outbox may have begun long ago.
        let waited = raw.kind == "outbox";
        let at = match raw.at {
            at if at > now.saturating_add(SKEW_MAX_US) => now,
            at if at < now.saturating_sub(SKEW_MAX_US) && !waited => now,
            at => at,
        };
        let started_at = at.saturating_sub(duration.unwrap_or_default());
        Some(Self {
            trace,
            hop: Hop {
                id: hop_id,
                parent: parent.and_then(|parent| HopId::try_from(parent).ok()),
                service: cut(raw.service),
                from: raw.from.map(cut),
                to: raw.to.map(cut),
                kind: cut(raw.kind),
                side,
                name: cut(raw.name),
                attempt: raw.attempt.max(1),
                outcome: raw.outcome.filter(|_| has_ended).map(cut),
                status: raw.status.map(cut),
                fault: raw.fault.map(cut),
                breaker: raw.breaker.map(cut),
                causation_id: raw.causation_id.map(cut),
                sequence: raw.sequence,
                started_at,
                ended_at: duration.map(|duration| started_at.saturating_add(duration)),
                duration_us: duration,
                detail: raw.detail,
            },
        })
    }
}

impl Hop {
    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Whether somebody was asked: what a breaker refuses, or what finds no place, stays here and takes no time.
    pub(crate) fn was_sent(&self) -> bool {
        let is_held_back = matches!(self.outcome.as_deref(), Some("refused" | "no_place"));
        // An answer that refuses has a status.
        !is_held_back || self.status.is_some()
    }

    /// Whether it failed. A refusal with a reason of its own, such as 404 or 409, is no failure.
    pub(crate) fn is_bad(&self) -> bool {
        let is_unavailable = self.status.as_deref() == Some("503");
        let is_error = matches!(self.outcome.as_deref(), Some("error" | "timeout"));
        is_error || is_unavailable || !self.was_sent()
    }

    /// Merges another record of the same hop. An end is kept; the earliest start counts.
    pub(crate) fn merge(&mut self, newer: Self) {
        let started_at = self.started_at.min(newer.started_at);
        if newer.has_ended() || !self.has_ended() {
            *self = newer;
        }
        self.started_at = started_at;
        if let Some(ended) = self.ended_at {
            self.duration_us = Some(ended.saturating_sub(started_at));
        }
    }

    /// Its approximate size in memory, in bytes, with what the allocator adds.
    pub(crate) fn bytes(&self) -> usize {
        let optional = [
            &self.from,
            &self.to,
            &self.outcome,
            &self.status,
            &self.fault,
            &self.breaker,
            &self.causation_id,
        ];
        let optional = optional.into_iter().flatten();
        let texts = [&self.service, &self.kind, &self.name].into_iter();
        let texts: usize = texts.chain(optional).map(|text| allocated(text)).sum();
        size_of::<Self>() + texts + self.detail.bytes()
    }
}

/// `digits` hexadecimal digits that are not all zero. At most 32: more do not fit.
pub(crate) fn id(text: &str, digits: usize) -> Option<u128> {
    if text.len() != digits {
        return None;
    }
    let id = text.bytes().try_fold(0_u128, |id, byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some((id << 4) | u128::from(digit))
    })?;
    (id != 0).then_some(id)
}

fn hex16<S: serde::Serializer>(id: &HopId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{id:016x}"))
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn hex16_or_null<S: serde::Serializer>(id: &Option<HopId>, to: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => hex16(id, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const NOW: u64 = 1_795_867_200_000_000;

    pub(crate) fn raw(
        trace: u128,
        id: u64,
        parent: u64,
        side: &str,
        service: &str,
        at: u64,
    ) -> Value {
        json!({
            "phase": "start", "trace_id": format!("{trace:032x}"), "span_id": format!("{id:016x}"),
            "parent_span_id": (parent != 0).then(|| format!("{parent:016x}")),
            "service": service, "from": null, "to": null, "kind": "http", "side": side, "name": "GET /x",
            "attempt": 1, "at": at, "status": null, "fault": null, "breaker": null, "causation_id": null,
            "sequence": null, "detail": {},
        })
    }

    /// The same hop, ended.
    pub(crate) fn ended(mut start: Value, duration_us: u64) -> Value {
        start["phase"] = "end".into();
        start["at"] = (start["at"].as_u64().unwrap() + duration_us).into();
        start["duration_us"] = duration_us.into();
        start["outcome"] = "ok".into();
        start
    }

    #[test]
    fn what_is_no_record_is_none() {
        for garbage in [
            json!(null),
            json!(7),
            json!([]),
            json!({}),
            json!({"phase": "start"}),
            json!({"phase": {"deep": [1]}, "trace_id": 3}),
        ] {
            assert!(Record::read(&garbage, NOW).is_none(), "{garbage}");
        }
        let good = raw(1, 2, 0, "server", "a", NOW);
        assert!(Record::read(&good, NOW).is_some());
        for (field, bad) in [
            ("trace_id", json!("0".repeat(32))),
            ("trace_id", json!("xyz")),
            ("span_id", json!("é".repeat(8))),
            ("side", json!("outside")),
            ("at", json!(-1)),
            ("at", json!("now")),
            ("attempt", json!(1e30)),
            ("detail", json!({"a": {"b": 1}})),
        ] {
            let mut record = good.clone();
            record[field] = bad;
            assert!(Record::read(&record, NOW).is_none(), "{record}");
        }
    }

    #[test]
    fn text_is_cut_and_clocks_that_are_years_off_are_not_believed() {
        let mut record = raw(1, 2, 0, "server", &"é".repeat(500_000), NOW);
        record["detail"] = (0..1000)
            .map(|n| (format!("{n}"), json!("x".repeat(1000))))
            .collect();
        let hop = Record::read(&record, NOW).unwrap().hop;
        assert!(hop.bytes() < 16 * 1024, "{}", hop.bytes());
        for at in [0, 1, NOW / 2, NOW * 2, u64::MAX] {
            record["at"] = at.into();
            let start = Record::read(&record, NOW).unwrap().hop;
            assert_eq!(start.started_at, NOW);
            let mut end = record.clone();
            end["phase"] = "end".into();
            end["duration_us"] = u64::MAX.into();
            let end = Record::read(&end, NOW).unwrap().hop;
            assert!(end.ended_at.unwrap() <= NOW);
        }
    }

    #[test]
    fn who_was_not_served_has_failed_and_who_was_told_no_has_not() {
        let is_bad = |outcome: &str, status: Option<&str>| {
            let mut hop = ended(raw(1, 2, 0, "client", "a", NOW), 10);
            hop["outcome"] = outcome.into();
            hop["status"] = status.into();
            Record::read(&hop, NOW + 1_000).unwrap().hop.is_bad()
        };
        for (outcome, status) in [
            ("error", Some("500")),
            ("timeout", None),
            // By a breaker, for want of a place, and at the door of a service that has too much to do.
            ("refused", None),
            ("no_place", None),
            ("refused", Some("503")),
        ] {
            assert!(is_bad(outcome, status), "{outcome} {status:?}");
        }
        for (outcome, status) in [
            ("ok", Some("200")),
            ("refused", Some("404")),
            ("refused", Some("NOT_FOUND")),
            ("cancelled", None),
        ] {
            assert!(!is_bad(outcome, status), "{outcome} {status:?}");
        }
    }

    #[test]
    fn a_name_turns_no_text_of_others_round() {
        let mut record = raw(1, 2, 0, "server", "a\u{202e}b\n\u{2066}c", NOW);
        record["detail"] = json!({"ce_\u{200f}type": "é\u{202d}x"});
        let hop = Record::read(&record, NOW).unwrap().hop;
        assert_eq!(hop.service, "abc");
        assert!(hop.detail.values().eq(["éx"]));
        let shown = serde_json::to_value(&hop.detail).unwrap();
        assert_eq!(shown, json!({"ce_type": "éx"}));
    }

    #[test]
    fn a_wait_in_an_outbox_may_be_long() {
        let mut record = raw(1, 2, 0, "internal", "a", NOW - 3_600_000_000);
        record["kind"] = "outbox".into();
        let hop = Record::read(&record, NOW).unwrap().hop;
        assert_eq!(hop.started_at, NOW - 3_600_000_000);
    }
}
