//! Watching the changes of an order.

use std::time::Duration;

use chassis::auth::Caller;
use chrono::{DateTime, Utc};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{app::App, domain::Change, error::Error, live::Subscription, store};

/// The longest single wait for the end of a cancel window, which may be years away.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Reads an order's changes one after another. It holds nothing but its position.
pub(crate) struct Reader {
    order: Subscription,
    after: i64,
    app: App,
}

/// The changes of an order of the caller after the one with the sequence `after`, 0 for all of them; `None` if there are none
/// and there cannot be any more.
pub(crate) async fn watch(
    app: &App,
    caller: &Caller,
    id: Uuid,
    after: i64,
) -> Result<Option<Reader>, Error> {
    // Before the database is read, so that changes that are committed afterwards reach the subscription.
    let mut order = app.live.subscribe(id);
    let (owner, history) = store::history(&app.pool, id)
        .await?
        .ok_or(Error::NotFound)?;
    if !caller.may_see(owner) {
        return Err(Error::NotFound);
    }
    order.learn(history);
    let has_more = order.known().iter().any(|change| change.sequence > after);
    let mut reader = Reader {
        order,
        after,
        app: app.clone(),
    };
    let goes_on = has_more || reader.open_for() > Duration::ZERO;
    Ok(goes_on.then_some(reader))
}

impl Reader {
    /// The order.
    pub(crate) fn order_id(&self) -> Uuid {
        self.order.order_id()
    }

    /// Waits for the next change; `None` when the order cannot change any more.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        loop {
            let known = self.order.known();
            if let Some(next) = known.iter().find(|change| change.sequence > self.after) {
                self.after = next.sequence;
                return Some(next.clone());
            }
            let open_for = self.open_for();
            if open_for.is_zero() {
                return None;
            }
            tokio::select! {
                () = self.order.more() => {}
                () = sleep(open_for.min(WAIT_MAX)) => {}
            }
        }
    }

    /// How long the order may still change. A cancellation that began within the window may commit as late as its request may
    /// take, and is seen at the next read of all watched orders.
    fn open_for(&mut self) -> Duration {
        let until = match self.order.known().last() {
            Some(last) if last.status.is_final() => return Duration::ZERO,
            Some(last) => last.open_until(self.app.cancel_window),
            None => DateTime::<Utc>::MAX_UTC,
        };
        let left = until.signed_duration_since(self.app.now());
        let margin = chrono::TimeDelta::from_std(self.app.cancel_margin).unwrap_or_default();
        (left + margin).to_std().unwrap_or_default()
    }
}
