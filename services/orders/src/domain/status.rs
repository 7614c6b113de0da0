//! The status of an order, and the table of allowed transitions.

use strum::{Display, EnumString, IntoStaticStr};

/// The status of an order.
///
/// ```text
///            confirm                cancel (within the window)
///  pending ──────────▶ confirmed ──────────▶ cancelled
///     │                                          ▲
///     ├── reject ─────▶ rejected                 │
///     └── cancel ────────────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Accepted; stock has been requested.
    Pending,
    /// Stock is reserved; the purchase stands.
    Confirmed,
    /// It cannot be fulfilled.
    Rejected,
    /// The customer cancelled it.
    Cancelled,
}

/// A step in the life of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
pub enum Step {
    /// Stock was reserved.
    #[strum(to_string = "be confirmed")]
    Confirm,
    /// Stock was refused.
    #[strum(to_string = "be rejected")]
    Reject,
    /// The customer cancels it.
    #[strum(to_string = "be cancelled")]
    Cancel,
}

/// This step does not follow that status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} order cannot {step}")]
pub struct Refused {
    /// The status, which stays as it is.
    pub from: Status,
    /// The step that was refused.
    pub step: Step,
}

impl Status {
    /// The status after `step`. A step that is not in this table is refused.
    ///
    /// # Errors
    /// If the step does not follow this status.
    pub const fn after(self, step: Step) -> Result<Self, Refused> {
        match (self, step) {
            (Self::Pending, Step::Confirm) => Ok(Self::Confirmed),
            (Self::Pending, Step::Reject) => Ok(Self::Rejected),
            (Self::Pending | Self::Confirmed, Step::Cancel) => Ok(Self::Cancelled),
            (from, step) => Err(Refused { from, step }),
        }
    }

    /// Whether no step can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled)
    }

    /// Its name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Status::*, Step::*, *};

    const STATUSES: [Status; 4] = [Pending, Confirmed, Rejected, Cancelled];

    #[test]
    fn the_whole_table() {
        let allowed = [
            (Pending, Confirm, Confirmed),
            (Pending, Reject, Rejected),
            (Pending, Cancel, Cancelled),
            (Confirmed, Cancel, Cancelled),
        ];
        for from in STATUSES {
            for step in [Confirm, Reject, Cancel] {
                let expected = allowed
                    .iter()
                    .find(|row| (row.0, row.1) == (from, step))
                    .map(|row| row.2);
                assert_eq!(from.after(step).ok(), expected, "{from:?} {step:?}");
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for status in STATUSES {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("Pending".parse::<Status>().is_err());
    }
}
