//! One line about one hop.

use serde::{Serialize, Serializer};

use super::fields::Fields;

/// The room in which a record is written; a longer one takes more.
const RECORD_BYTES: usize = 1024;

/// A record as readers get it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Record<'a> {
    pub(super) phase: &'static str,
    pub(super) trace_id: &'a str,
    pub(super) span_id: &'a str,
    pub(super) parent_span_id: Option<&'a str>,
    pub(super) service: &'a str,
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
    pub(super) kind: &'static str,
    pub(super) side: &'a str,
    pub(super) name: &'a str,
    pub(super) attempt: u64,
    /// Microseconds since the Unix epoch.
    pub(super) at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    pub(super) status: Option<String>,
    pub(super) fault: Option<&'a str>,
    pub(super) breaker: Option<&'a str>,
    pub(super) causation_id: Option<&'a str>,
    pub(super) sequence: Option<u64>,
    pub(super) detail: Travelled<'a>,
}

/// What travelled, as far as it may be shown: headers, and an event's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Travelled<'a> {
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) data: &'a [(String, String)],
}

/// As one object.
impl Serialize for Travelled<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (*name, value.as_str()));
        let data = self.data.iter();
        let data = data.map(|(name, value)| (name.as_str(), value.as_str()));
        to.collect_map(headers.chain(data))
    }
}

/// A record as JSON.
pub(super) fn written(record: &impl Serialize) -> Option<Box<str>> {
    // A record is made of text and numbers: this cannot fail.
    let mut data = Vec::with_capacity(RECORD_BYTES);
    serde_json::to_writer(&mut data, record).ok()?;
    Some(String::from_utf8(data).ok()?.into_boxed_str())
}

/// The sender and the receiver, where this side knows them. The caller of a server is known to the caller's own hop only.
pub(super) fn ends<'a>(fields: &'a Fields, service: &'a str) -> (Option<&'a str>, Option<&'a str>) {
    let other = fields.peer.as_deref().or(fields.destination.as_deref());
    match fields.side.as_deref() {
        Some("server" | "consumer") => (other, Some(service)),
        _ => (Some(service), other.or(fields.database.as_deref())),
    }
}

/// How it ended, and the status in the protocol's own words.
pub(super) fn end(fields: &Fields) -> (&'static str, Option<String>) {
    let status = fields.status.map(|status| match fields.grpc {
        true => grpc_name(status).to_owned(),
        false => status.to_string(),
    });
    let outcome = match (fields.error.as_deref(), fields.status) {
        (Some("timeout"), _) => "timeout",
        (Some("refused"), _) => "refused",
        (Some("no_place"), _) => "no_place",
        (Some("cancelled"), _) => "cancelled",
        (Some(_), _) => "error",
        (None, Some(status)) if fields.grpc => grpc_outcome(status),
        (None, Some(status)) => http_outcome(status),
        (None, None) => match (fields.otel_status.as_deref(), fields.side.as_deref()) {
            (Some("OK"), _) | (None, Some("producer" | "consumer")) => "ok",
            (Some(_), _) => "error",
            // Its future was dropped, so nobody recorded an outcome.
            (None, _) => "cancelled",
        },
    };
    (outcome, status)
}

fn http_outcome(status: u64) -> &'static str {
    match status {
        0..=399 => "ok",
        408 | 504 => "timeout",
        400..=499 | 503 => "refused",
        _ => "error",
    }
}

fn grpc_outcome(code: u64) -> &'static str {
    match code {
        0 => "ok",
        1 => "cancelled",
        4 => "timeout",
        3 | 5..=11 | 16 => "refused",
        _ => "error",
    }
}

fn grpc_name(code: u64) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|code| NAMES.get(code).copied())
        .unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_a_call_before_it_left_is_told() {
        for (error, outcome) in [
            ("refused", "refused"),
            ("no_place", "no_place"),
            ("timeout", "timeout"),
            ("connection_refused", "error"),
        ] {
            let fields = Fields {
                error: Some(error.to_owned()),
                ..Fields::default()
            };
            assert_eq!(end(&fields), (outcome, None));
        }
    }
}
