//! The history of an order's status.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Status;
use super::order::after;

/// A change of an order's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The order's version after the change: the sequence of its event. It increases with each change, not always by one.
    pub sequence: i64,
    /// The new status.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// The time of the change.
    pub at: DateTime<Utc>,
}

impl Change {
    /// The time after which no other change can follow this one, if an order can be cancelled until `window` after its
    /// confirmation; the largest time for a pending order.
    #[must_use]
    pub fn open_until(&self, window: Duration) -> DateTime<Utc> {
        match self.status {
            Status::Pending => DateTime::<Utc>::MAX_UTC,
            Status::Confirmed => after(self.at, window),
            Status::Rejected | Status::Cancelled => self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Step;

    /// Agrees with the table of steps on which statuses are final.
    #[test]
    fn nothing_follows_what_is_over() {
        let at = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        let window = Duration::from_secs(60);
        for (status, open_until) in [
            (Status::Pending, DateTime::<Utc>::MAX_UTC),
            (Status::Confirmed, at + window),
            (Status::Rejected, at),
            (Status::Cancelled, at),
        ] {
            let change = Change {
                sequence: 1,
                status,
                reason: None,
                at,
            };
            assert_eq!(change.open_until(window), open_until, "{status}");
            let steps = [Step::Confirm, Step::Reject, Step::Cancel];
            let goes_on = steps.into_iter().any(|step| status.after(step).is_ok());
            assert_eq!(open_until > at, goes_on, "{status}");
            assert_eq!(status.is_final(), !goes_on, "{status}");
        }
    }
}
