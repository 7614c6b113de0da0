//! The audit trail of sign-ups: a second subscriber of the exchange, with its own queue, which it consumes at its own
//! pace.
//!
//! The trail is part of the service's log, which is collected and stored elsewhere. It contains the user's id and the
//! time, but not the address.

use async_trait::async_trait;
use contracts::events::UserCreated;
use envelope::EventData as _;
use messaging::{Delivery, Handler, HandlerError};

/// Logs a line for each sign-up. One that is redelivered, or published in two versions, is a second line with the same
/// `event_id`.
pub(crate) struct Audit;

#[async_trait]
impl Handler for Audit {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let event = outbox::event_in(delivery)
            .and_then(|event| UserCreated::versions().decode(&event))
            .map_err(HandlerError::permanent)?;
        let Some(event) = event else {
            // It comes in a version that is read here, too.
            return Ok(());
        };
        tracing::info!(
            target: "audit",
            event_id = %event.logical_id,
            user_id = %event.data.user_id,
            "a customer signed up"
        );
        metrics::counter!("sign_ups_audited_total").increment(1);
        Ok(())
    }
}
