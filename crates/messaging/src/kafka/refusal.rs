//! Brokers that refuse our account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Whether the brokers refuse the user name or the password. librdkafka tries again for ever and reports each try by a
/// callback, while our own requests only time out: the reason of a time-out says so.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal(Arc<AtomicBool>);

impl Refusal {
    /// Remembers the error if it is such a refusal. Returns whether it is one.
    pub(super) fn note(&self, error: &KafkaError) -> bool {
        let refused = error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication);
        if refused {
            self.0.store(true, Ordering::Relaxed);
        }
        refused
    }

    /// Forgets a refusal: the brokers have answered.
    pub(super) fn lifted(&self) {
        if self.is_there() {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the brokers refused us and have not answered since.
    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The text of a failure, with the refusal in front if there is one.
    pub(super) fn explain(&self, failure: String) -> String {
        match self.is_there() {
            true => format!("the brokers refuse the user name or password: {failure}"),
            false => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_explains_failures_until_the_brokers_answer() {
        let refusal = Refusal::default();
        assert!(!refusal.note(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown)));
        assert_eq!(refusal.explain("no answer".into()), "no answer");
        assert!(!refusal.is_there());
        assert!(refusal.note(&KafkaError::Global(RDKafkaErrorCode::Authentication)));
        assert!(refusal.is_there());
        assert_eq!(
            refusal.explain("no answer".into()),
            "the brokers refuse the user name or password: no answer"
        );
        refusal.lifted();
        assert_eq!(refusal.explain("no answer".into()), "no answer");
    }
}
