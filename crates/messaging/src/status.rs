//! How publishers and consumers report whether they reach their engine.

use std::sync::Arc;

/// Reports up, or down with its reason. A readiness page sits behind it in a service; this crate
/// does not know of one.
///
/// It is called at each change and may be called again with the same state, so the receiver must
/// be cheap and must not block.
#[derive(Clone)]
pub struct Status(Arc<dyn Fn(Result<(), String>) + Send + Sync>);

impl Status {
    /// Reports go to `report`.
    #[must_use]
    pub fn new(report: Arc<dyn Fn(Result<(), String>) + Send + Sync>) -> Self {
        Self(report)
    }

    /// Reports go nowhere.
    #[must_use]
    pub fn ignore() -> Self {
        Self(Arc::new(|_| {}))
    }

    /// Reports that it works.
    pub fn up(&self) {
        (self.0)(Ok(()));
    }

    /// Reports that it does not, and why.
    pub fn down(&self, reason: impl Into<String>) {
        (self.0)(Err(reason.into()));
    }
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Status")
    }
}
