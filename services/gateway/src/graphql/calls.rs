//! How many calls the documents of one client make at once.
//!
//! A request of REST is a call or two, and a client has so many of those worked on that others find room. A document can ask
//! for fifty things side by side: as many documents would take every place of a service behind. So what they ask for waits
//! in lines of its own, one for each client and service, beside those that the documents themselves have waited in: whoever
//! has a place here waits for nothing but its answer.

use std::sync::Arc;

use crate::limits::layer::{Client, Limits};
use crate::limits::turns::Turns;

/// The calls of one client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls {
    turns: Arc<Turns>,
    client: Client,
}

impl Calls {
    pub(super) fn of(client: Client, limits: &Limits) -> Self {
        let turns = Arc::clone(&limits.calls);
        Self { turns, client }
    }

    /// Makes a call to this service when it is its client's turn. Until then nothing of the call has begun.
    pub(super) async fn make<F: Future>(&self, service: &'static str, call: F) -> F::Output {
        let _turn = self.turns.turn((&self.client, service)).await;
        call.await
    }
}
