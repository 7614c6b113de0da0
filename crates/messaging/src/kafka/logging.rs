//! Callbacks of every client: the log lines of librdkafka.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Statistics};

use super::refusal::Refusal;
use super::requests::Requests;

/// Sends librdkafka's log lines to `tracing`, as details: it repeats a broker's absence at each
/// attempt, and what matters is reported once by the publisher's answer or the consumer's status.
#[derive(Debug, Clone, Default)]
pub(super) struct Logging {
    pub(super) refusal: Refusal,
    pub(super) requests: Requests,
}

impl ClientContext for Logging {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", facility, "{line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.refusal.note(&error);
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }

    fn stats(&self, statistics: Statistics) {
        self.requests.note(&statistics);
    }
}
