//! What the fields of a span say about its hop, by OpenTelemetry's semantic conventions.

use std::fmt::{self, Write};

use axum::http::HeaderMap;
use tracing::field::{Field, Visit};

use super::{DETAILS, VALUE_BYTES_MAX, cut, data};

/// The fields that matter to a record; everything else is left out.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) side: Option<String>,
    pub(super) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) http: bool,
    pub(super) grpc: bool,
    pub(super) system: Option<String>,
    pub(super) destination: Option<String>,
    pub(super) database: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) attempt: Option<u64>,
    pub(super) status: Option<u64>,
    pub(super) otel_status: Option<String>,
    pub(super) error: Option<String>,
    pub(super) fault: Option<String>,
    pub(super) breaker: Option<String>,
    pub(crate) parent: Option<String>,
    pub(super) waited: Option<Waited>,
    /// The headers that are shown. A dozen at most: a list is faster than a map.
    pub(super) detail: Vec<(&'static str, String)>,
    pub(super) data: Vec<(String, String)>,
}

/// The wait of a message in an outbox, before it was published.
#[derive(Debug, Clone)]
pub(super) struct Waited {
    /// The id of the hop that the wait is. The same for each attempt to publish the message.
    pub(super) id: String,
    /// The span in which the event happened.
    pub(super) parent: Option<String>,
    /// When it happened, in microseconds since the Unix epoch.
    pub(super) since: u64,
}

impl Fields {
    /// Notes a header, if it may be shown.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        let mut allowed = DETAILS.iter();
        if let Some(name) = allowed.find(|allowed| name.eq_ignore_ascii_case(allowed)) {
            let value = cut(value).to_owned();
            match self.detail.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = value,
                None => self.detail.push((*name, value)),
            }
        }
    }

    /// The value of a header that is shown.
    pub(super) fn shown(&self, name: &str) -> Option<&str> {
        let header = self.detail.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Notes those of a request's headers that may be shown.
    pub(crate) fn headers(&mut self, headers: &HeaderMap) {
        for name in DETAILS {
            if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                self.header(name, value);
            }
        }
    }

    /// Notes of the data of a message what may be shown.
    pub(crate) fn data(&mut self, payload: &[u8]) {
        self.data = data::shown(payload);
    }

    /// The span that this one follows from, as `traceparent` has it.
    pub(crate) fn follows(&mut self, traceparent: &str) {
        self.parent = parent_id(traceparent);
    }

    /// The message that is published has waited in an outbox. `event_trace` is where it happened (`ce_traceparent`).
    pub(crate) fn waited(&mut self, destination: &str, event_trace: Option<&str>) {
        let (Some(id), Some(time)) = (self.shown("ce_id"), self.shown("ce_time")) else {
            return;
        };
        let Ok(time) = chrono::DateTime::parse_from_rfc3339(time) else {
            return;
        };
        let id = format!("{:016x}", digest(&[id, destination]));
        self.waited = Some(Waited {
            id: id.clone(),
            parent: event_trace.and_then(parent_id),
            since: u64::try_from(time.timestamp_micros()).unwrap_or_default(),
        });
        self.parent = Some(id);
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.grpc {
            return "grpc";
        }
        if self.http {
            let is_graphql = self
                .name
                .as_deref()
                .is_some_and(|name| name.ends_with("/graphql"));
            return if is_graphql { "graphql" } else { "http" };
        }
        if self.destination.is_some() {
            let is_kafka = self
                .system
                .as_deref()
                .is_none_or(|system| system == "kafka");
            return if is_kafka { "kafka" } else { "queue" };
        }
        if self.protocol.as_deref() == Some("smtp") {
            return "mail";
        }
        if self.database.is_some() {
            return "db";
        }
        "http"
    }

    fn text(&mut self, name: &str, value: &str) {
        let slot = match name {
            "otel.kind" => &mut self.side,
            "otel.name" => &mut self.name,
            "service" => &mut self.service,
            "peer.service" => &mut self.peer,
            "messaging.system" => &mut self.system,
            "messaging.destination.name" => &mut self.destination,
            "db.system.name" => &mut self.database,
            "network.protocol.name" => &mut self.protocol,
            "otel.status_code" => &mut self.otel_status,
            "error.type" => &mut self.error,
            "fault.injected" => &mut self.fault,
            "breaker.state" => &mut self.breaker,
            "http.request.method" => {
                self.http = true;
                return;
            }
            "rpc.system" => {
                self.grpc = true;
                return;
            }
            _ => return,
        };
        *slot = Some(cut(value).to_owned());
    }

    fn number(&mut self, name: &str, value: u64) {
        match name {
            "attempt" => self.attempt = Some(value),
            "http.response.status_code" | "rpc.grpc.status_code" => self.status = Some(value),
            _ => {}
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), u64::try_from(value).unwrap_or_default());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Only the name is ever formatted where the span is made; nothing else is worth the work.
        if field.name() == "otel.name" {
            let mut text = Short(String::new());
            // Ends with an error when there is enough.
            let _ = write!(text, "{value:?}");
            self.name = Some(text.0);
        }
    }
}

/// Takes no more text than a value may have.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(cut(text));
        if self.0.len() > VALUE_BYTES_MAX {
            let end = cut(&self.0).len();
            self.0.truncate(end);
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// `00-{trace}-{span}-{flags}`: the span.
fn parent_id(traceparent: &str) -> Option<String> {
    let id = traceparent.split('-').nth(2)?;
    (id.len() == 16).then(|| id.to_owned())
}

/// FNV-1a. The ids that it makes have to be the same in each attempt, not hard to guess.
fn digest(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_headers_are_kept_and_cut() {
        let mut fields = Fields::default();
        fields.header("Authorization", "Bearer secret");
        fields.header("Idempotency-Key", "secret");
        fields.header("cookie", "secret");
        fields.header("Content-Type", &"x".repeat(10_000));
        assert_eq!(fields.detail.len(), 1);
        let shown = fields.shown("content-type").map(str::len);
        assert_eq!(shown, Some(VALUE_BYTES_MAX));
    }

    #[test]
    fn each_attempt_to_publish_is_of_the_same_wait() {
        let wait = |destination| {
            let mut fields = Fields::default();
            fields.header("ce_id", "0190163d-8694-739b-aea5-966c26f8ad91");
            fields.header("ce_time", "2026-11-28T12:00:00.000001Z");
            fields.waited(
                destination,
                Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            );
            fields.waited.unwrap()
        };
        let (one, again, other) = (wait("a"), wait("a"), wait("b"));
        assert_eq!(one.id, again.id);
        assert_ne!(one.id, other.id);
        assert_eq!(one.parent.as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(one.since, 1_795_867_200_000_001);
    }
}
