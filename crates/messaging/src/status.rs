//! How publishers and consumers report whether they reach their engine.

use std::sync::Arc;

use parking_lot::Mutex;

/// A report: that it works, or why it does not.
type State = Result<(), String>;

/// Reports up, or down with its reason. A readiness page sits behind it in a service; this crate
/// does not know of one.
///
/// Publishers and consumers call this as often as they like, and log nothing themselves: only a change of the state or its
/// reason is reported, and the receiver logs each outage once. The receiver must be cheap and must not block.
#[derive(Clone)]
pub struct Status {
    report: Arc<dyn Fn(State) + Send + Sync>,
    /// What was reported last. Held during the report, so that reports come in the order of what they say.
    last: Arc<Mutex<Option<State>>>,
}

impl Status {
    /// Reports go to `report`.
    #[must_use]
    pub fn new(report: Arc<dyn Fn(State) + Send + Sync>) -> Self {
        Self {
            report,
            last: Arc::default(),
        }
    }

    /// Reports go nowhere: somebody else reports the same engine.
    #[must_use]
    pub fn ignore() -> Self {
        Self::new(Arc::new(|_| {}))
    }

    /// Reports that it works.
    pub fn up(&self) {
        self.tell(Ok(()));
    }

    /// Reports that it does not, and why.
    pub fn down(&self, reason: impl Into<String>) {
        self.tell(Err(reason.into()));
    }

    /// Either of the two.
    pub fn tell(&self, state: State) {
        let mut last = self.last.lock();
        if last.as_ref() != Some(&state) {
            (self.report)(state.clone());
            *last = Some(state);
        }
    }
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Status")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_reported() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let status = Status::new(Arc::new(move |state| log.lock().push(state)));
        let clone = status.clone();
        for status in [&status, &clone] {
            status.up();
        }
        for reason in ["a", "a", "b"] {
            status.down(reason);
            clone.down(reason);
        }
        status.up();
        let down = |reason: &str| Err(reason.to_owned());
        assert_eq!(*heard.lock(), [Ok(()), down("a"), down("b"), Ok(())]);
    }
}
