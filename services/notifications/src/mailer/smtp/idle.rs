//! Idle conversations that can be used for another mail.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::conversation::Conversation;
use super::limits::SmtpLimits;

/// How long a connection may be idle. Mail servers close it after a few minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The newest is used first, so that after a burst the others become old and are closed.
pub(super) struct Idle {
    parked: Mutex<Vec<(Instant, Conversation)>>,
    /// The most connections that are kept.
    max: usize,
}

impl Idle {
    pub(super) fn new(max: usize) -> Self {
        Self {
            parked: Mutex::default(),
            max,
        }
    }

    /// A conversation whose server still responds, if there is one.
    pub(super) async fn take(&self, limits: &SmtpLimits) -> Option<Conversation> {
        loop {
            let mut conversation = {
                let mut parked = self.parked.lock();
                parked.retain(|(since, _)| since.elapsed() < IDLE_MAX);
                parked.pop()?.1
            };
            if conversation.is_alive(limits).await {
                return Some(conversation);
            }
        }
    }

    pub(super) fn put(&self, conversation: Conversation) {
        let mut parked = self.parked.lock();
        if parked.len() < self.max {
            parked.push((Instant::now(), conversation));
        }
    }
}
