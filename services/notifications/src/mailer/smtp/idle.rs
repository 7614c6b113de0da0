//! Conversations that can go on with another mail.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::conversation::Conversation;
use super::limits::SmtpLimits;

/// How long a connection may lie idle. Mail servers end it after a few minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The newest first: after a rush, the others grow old and are ended.
pub(super) struct Idle {
    parked: Mutex<Vec<(Instant, Conversation)>>,
    /// Connections that are kept, at most.
    max: usize,
}

impl Idle {
    pub(super) fn new(max: usize) -> Self {
        Self {
            parked: Mutex::default(),
            max,
        }
    }

    /// A conversation that the server still takes part in.
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
