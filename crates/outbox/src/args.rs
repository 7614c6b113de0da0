//! Settings of the relay as a group of flags and environment variables (feature `clap`).

use std::time::Duration;

use clap::Args;
use messaging::args::duration;

use crate::{PublishSpan, RelayOptions};

/// The outbox relay.
#[derive(Args, Clone, Debug)]
pub struct OutboxArgs {
    /// How often the outbox is looked at when nothing wakes the relay.
    #[arg(long, env = "OUTBOX_POLL", default_value = "500ms", value_parser = duration)]
    pub outbox_poll: Duration,

    /// How long sent events are kept and sent again at a start, for a broker that forgets; 0 for a broker that does not.
    #[arg(long, env = "OUTBOX_REPLAY_WINDOW", default_value = "0", value_parser = duration)]
    pub outbox_replay_window: Duration,
}

impl OutboxArgs {
    /// How a relay empties the outbox; `span` makes the span of a publication.
    #[must_use]
    pub fn relay(&self, span: PublishSpan) -> RelayOptions {
        RelayOptions {
            span,
            poll: self.outbox_poll,
            replay_window: self.outbox_replay_window,
            ..RelayOptions::default()
        }
    }
}
