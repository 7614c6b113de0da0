//! An order and its life.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Address, Line, Money, Priced, Refused, Status, Step};

/// The longest time between two requests for stock, unless the first deadline itself is longer.
pub const MAX_SAGA_WAIT: Duration = Duration::from_secs(600);

/// The shortest time between them: a deadline of zero would be a busy loop.
pub const MIN_SAGA_WAIT: Duration = Duration::from_millis(100);

/// An order.
///
/// Every method that changes it increments `version` by one, and every change is published as one event with that version
/// as its sequence, so that a consumer sees whether it missed an event, and which of two is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// UUID v7: sorts by the time it was placed.
    pub id: Uuid,
    /// The customer.
    pub user_id: Uuid,
    /// The present status.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// One for each product; at least one.
    pub lines: Vec<Line>,
    /// Sum over the lines.
    pub total: Money,
    /// The shipping address, if the customer gave one.
    pub shipping_address: Option<Address>,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When its status changed last.
    pub updated_at: DateTime<Utc>,
    /// When stock was reserved: the cancel window counts from here.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// The number of events that this order has caused, and the sequence of the latest.
    pub version: i64,
    /// How often stock has been requested.
    pub asked: u32,
    /// When to request stock again; `None` once the order is decided.
    pub ask_again_at: Option<DateTime<Utc>>,
}

/// Why an order cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotCancel {
    /// Its status does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was confirmed too long ago and may have been shipped.
    #[error("the order was confirmed more than {} ago; it cannot be cancelled any more", human(*.window))]
    TooLate {
        /// How long after its confirmation an order could have been cancelled.
        window: Duration,
    },
}

/// A duration in a readable unit.
fn human(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

impl Order {
    /// A new pending order. Stock is requested again after `deadline`.
    #[must_use]
    pub fn place(
        id: Uuid,
        user_id: Uuid,
        priced: Priced,
        now: DateTime<Utc>,
        deadline: Duration,
    ) -> Self {
        Self {
            id,
            user_id,
            status: Status::Pending,
            reason: None,
            lines: priced.lines,
            total: priced.total,
            shipping_address: None,
            created_at: now,
            updated_at: now,
            confirmed_at: None,
            version: 1,
            asked: 1,
            ask_again_at: Some(after(now, wait(1, deadline))),
        }
    }

    /// The same, sent to this address.
    #[must_use]
    pub fn sent_to(mut self, address: Option<Address>) -> Self {
        self.shipping_address = address;
        self
    }

    /// Stock was reserved.
    ///
    /// # Errors
    /// If the order is not pending.
    pub fn confirm(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.step(Step::Confirm, now)?;
        self.confirmed_at = Some(now);
        Ok(())
    }

    /// Stock was refused.
    ///
    /// # Errors
    /// If the order is not pending.
    pub fn reject(&mut self, reason: String, now: DateTime<Utc>) -> Result<(), Refused> {
        self.step(Step::Reject, now)?;
        self.reason = Some(reason);
        Ok(())
    }

    /// Cancels the order for the customer: at any time while it is pending, then until `window` after its confirmation.
    ///
    /// # Errors
    /// If it was rejected or cancelled before, or the window is over.
    pub fn cancel(&mut self, now: DateTime<Utc>, window: Duration) -> Result<(), CannotCancel> {
        if self.status == Status::Confirmed
            && self.confirmed_at.is_some_and(|at| now > after(at, window))
        {
            return Err(CannotCancel::TooLate { window });
        }
        Ok(self.step(Step::Cancel, now)?)
    }

    // region: ask-again
    /// No answer came in time: stock is asked for again, and the wait for the next time doubles.
    ///
    /// # Errors
    /// If the order is not pending: there is nothing to ask.
    pub fn ask_again(&mut self, now: DateTime<Utc>, deadline: Duration) -> Result<(), Refused> {
        // What an answer would do must still be possible.
        self.status.after(Step::Confirm)?;
        self.version += 1;
        self.asked += 1;
        self.ask_again_at = Some(after(now, wait(self.asked, deadline)));
        Ok(())
    }
    // endregion: ask-again

    fn step(&mut self, step: Step, now: DateTime<Utc>) -> Result<(), Refused> {
        self.status = self.status.after(step)?;
        self.version += 1;
        self.updated_at = now;
        self.ask_again_at = None;
        Ok(())
    }
}

/// `duration` after `time`; the largest time if the sum overflows, since durations are configurable.
pub(super) fn after(time: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| time.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// How long to wait for an answer after stock was asked for the `asked`-th time.
fn wait(asked: u32, deadline: Duration) -> Duration {
    let deadline = deadline.max(MIN_SAGA_WAIT);
    // 2^20 times the shortest deadline is above the cap already.
    let doubled = deadline.saturating_mul(1 << asked.saturating_sub(1).min(20));
    doubled.min(MAX_SAGA_WAIT.max(deadline))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Basket, Quantity};

    const DEADLINE: Duration = Duration::from_secs(30);
    const WINDOW: Duration = Duration::from_secs(3600);

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_750_000_000, 0).unwrap()
    }

    fn order() -> Order {
        let product = Uuid::from_u128(7);
        let mut basket = Basket::default();
        basket.add(product, Quantity::new(2).unwrap()).unwrap();
        let prices = HashMap::from([(product, Money::new(250, "EUR".parse().unwrap()))]);
        Order::place(
            Uuid::from_u128(1),
            Uuid::from_u128(2),
            basket.price(&prices).unwrap(),
            start(),
            DEADLINE,
        )
    }

    #[test]
    fn a_new_order_waits_for_its_stock() {
        let order = order();
        assert_eq!(
            (order.status, order.version, order.total.minor),
            (Status::Pending, 1, 500)
        );
        assert_eq!(order.ask_again_at, Some(start() + DEADLINE));
    }

    #[test]
    fn confirmed_can_be_cancelled_until_the_window_closes() {
        let mut confirmed = order();
        confirmed.confirm(start()).unwrap();
        let mut in_time = confirmed.clone();
        in_time.cancel(start() + WINDOW, WINDOW).unwrap();
        assert_eq!(in_time.status, Status::Cancelled);

        let late = start() + WINDOW + Duration::from_millis(1);
        let error = confirmed.cancel(late, WINDOW).unwrap_err();
        assert_eq!(error, CannotCancel::TooLate { window: WINDOW });
        assert_eq!(
            error.to_string(),
            "the order was confirmed more than 60 min ago; it cannot be cancelled any more"
        );
        assert_eq!(confirmed.status, Status::Confirmed);
    }

    #[test]
    fn rejected_keeps_its_reason_and_stays() {
        let mut order = order();
        order.reject("sold out".into(), start()).unwrap();
        let before = order.clone();
        assert!(order.cancel(start(), WINDOW).is_err());
        assert!(order.confirm(start()).is_err());
        assert!(order.ask_again(start(), DEADLINE).is_err());
        assert_eq!(order, before);
        assert_eq!(order.reason.as_deref(), Some("sold out"));
    }

    #[test]
    fn waits_double_up_to_ten_minutes() {
        let waits: Vec<_> = (1..=7)
            .map(|asked| wait(asked, DEADLINE).as_secs())
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(wait(u32::MAX, DEADLINE), MAX_SAGA_WAIT);
        assert_eq!(
            wait(3, Duration::from_secs(3600)),
            Duration::from_secs(3600)
        );
    }

    /// Everything that can happen to an order.
    #[derive(Debug, Clone, Copy)]
    enum Happening {
        Confirm,
        Reject,
        Cancel,
        AskAgain,
    }

    proptest! {
        /// For any steps in any order: an order is decided once, each change increments the version by one, a refusal changes
        /// nothing, and stock is requested only while the order is pending.
        #[test]
        fn no_history_breaks_the_rules(happenings in prop::collection::vec(
            prop_oneof![
                Just(Happening::Confirm), Just(Happening::Reject), Just(Happening::Cancel), Just(Happening::AskAgain)
            ], 0..12))
        {
            let mut order = order();
            let mut now = start();
            for happening in happenings {
                now += Duration::from_secs(1);
                let before = order.clone();
                let done = match happening {
                    Happening::Confirm => order.confirm(now).is_ok(),
                    Happening::Reject => order.reject("none left".into(), now).is_ok(),
                    Happening::Cancel => order.cancel(now, WINDOW).is_ok(),
                    Happening::AskAgain => order.ask_again(now, DEADLINE).is_ok(),
                };
                if done {
                    prop_assert_eq!(order.version, before.version + 1);
                    prop_assert!(!matches!(before.status, Status::Rejected | Status::Cancelled));
                } else {
                    prop_assert_eq!(&order, &before);
                }
                prop_assert_eq!(order.ask_again_at.is_some(), order.status == Status::Pending);
                prop_assert_eq!(order.reason.is_some(), order.status == Status::Rejected);
            }
        }
    }
}
