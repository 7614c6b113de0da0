//! A broker that blocks publishers: it is short of memory or disk space, and reads no more from connections that publish.
//!
//! The client library keeps what is written to such a connection in memory. So nothing is passed to it during an alarm, since
//! each retry would leave one more copy that is sent when the alarm is over.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use lapin::{Connection, Event};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Why the broker blocks publishers, if it does, and each change of that.
pub(super) type Alarms = watch::Receiver<Option<String>>;
/// Receives the alarms of successive connections.
pub(super) type Bell = Arc<watch::Sender<Option<String>>>;

/// The text of an alarm.
pub(super) fn explained(alarms: &Alarms) -> Option<String> {
    let reason = alarms.borrow();
    let reason = reason.as_ref()?;
    Some(format!("the broker blocks publishers: {reason}"))
}

/// Whether the broker blocks a connection, and why.
pub(super) struct Blocked {
    reason: Alarms,
    _watching: AbortOnDropHandle<()>,
}

impl Blocked {
    /// Watches the connection until this is dropped.
    pub(super) fn of(connection: &Connection) -> Self {
        Self::telling(connection, Bell::default())
    }

    /// The same, and reports to a channel that outlives the connection.
    pub(super) fn telling(connection: &Connection, bell: Bell) -> Self {
        Self::told_by(connection.events_listener(), bell)
    }

    fn told_by(mut events: impl Stream<Item = Event> + Send + Unpin + 'static, bell: Bell) -> Self {
        let reason = bell.subscribe();
        let watching = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        bell.send_replace(Some(reason));
                    }
                    // The broker reports an alarm again to each new connection.
                    Event::ConnectionUnblocked | Event::Error(_) => {
                        bell.send_replace(None);
                    }
                    _ => {}
                }
            }
        });
        Self {
            reason,
            _watching: AbortOnDropHandle::new(watching),
        }
    }

    /// Why it is blocked, if it is.
    pub(super) fn reason(&self) -> Option<String> {
        explained(&self.reason)
    }

    /// Waits while it is blocked.
    ///
    /// # Errors
    /// Why it still is after `limit`.
    pub(super) async fn passes(&self, limit: Duration) -> Result<(), String> {
        let mut reason = self.reason.clone();
        let free = reason.wait_for(Option::is_none);
        match tokio::time::timeout(limit, free).await {
            // If the watcher has ended, so has the connection, which its user detects.
            Ok(_) => Ok(()),
            Err(_late) => Err(self.reason().unwrap_or_default()),
        }
    }

    /// Why it is blocked, each time that this changes.
    pub(super) fn changes(&self) -> Alarms {
        self.reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_blocked_waits_until_the_alarm_is_over() {
        let (events, told) = mpsc::unbounded();
        let bell = Bell::default();
        let blocked = Blocked::told_by(told, Arc::clone(&bell));
        let limit = Duration::from_secs(1);
        assert_eq!(blocked.passes(limit).await, Ok(()));

        let alarm = Event::ConnectionBlocked("low on memory".to_owned());
        events.unbounded_send(alarm).unwrap();
        blocked.changes().changed().await.unwrap();
        let reason = "the broker blocks publishers: low on memory".to_owned();
        assert_eq!(blocked.reason(), Some(reason.clone()));
        assert_eq!(explained(&bell.subscribe()), Some(reason.clone()));
        assert_eq!(blocked.passes(limit).await, Err(reason));

        let (passes, _) = tokio::join!(blocked.passes(limit), async {
            events.unbounded_send(Event::ConnectionUnblocked)
        });
        assert_eq!(passes, Ok(()));
        assert_eq!(blocked.reason(), None);
    }
}
