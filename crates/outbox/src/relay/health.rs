//! One status for the workers of a relay: reported when it changes, not at every pass.

use std::sync::{Mutex, PoisonError};

use messaging::Status;

/// Merges the reports of the workers and passes changes on.
pub(super) struct Health {
    status: Status,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    database: Option<String>,
    broker: Option<String>,
    /// What was reported last; `None` before the first report.
    last: Option<Result<(), String>>,
}

impl Health {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            said: Mutex::default(),
        }
    }

    /// A worker could not use the database.
    pub(super) fn database_down(&self, error: &sqlx::Error) {
        // The first sight only: while it lasts each attempt says the same.
        if self.tell(|said| {
            said.database
                .replace(format!("database: {error}"))
                .is_none()
        }) {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
        }
    }

    /// A worker could use the database; `broker` names a destination that is unavailable, and why.
    pub(super) fn database_up(&self, broker: Option<String>) {
        if self.tell(|said| {
            said.broker = broker;
            said.database.take().is_some()
        }) {
            tracing::info!("the outbox can be read again");
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Said) -> bool) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut said);
        let word = match said.database.as_ref().or(said.broker.as_ref()) {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        };
        if said.last.as_ref() != Some(&word) {
            match &word {
                Ok(()) => self.status.up(),
                Err(reason) => self.status.down(reason.clone()),
            }
            said.last = Some(word);
        }
        changed
    }
}
