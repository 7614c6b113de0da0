//! The audit trail of sign-ups: a second subscriber of the exchange, with its own queue, which it consumes at its own
//! pace.
//!
//! The trail is part of the service's log, which is collected and stored elsewhere. It contains the user's id and the
//! time, but not the address.

use async_trait::async_trait;
use contracts::events::UserCreated;
use messaging::{Delivery, Handler, HandlerError};

/// Logs a line for each sign-up. A redelivered sign-up is a second line with the same `event_id`.
pub(crate) struct Audit;

#[async_trait]
impl Handler for Audit {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let event = outbox::event_in(delivery)
            .and_then(|event| event.decode::<UserCreated>())
            .map_err(HandlerError::permanent)?;
        tracing::info!(
            target: "audit",
            event_id = %event.id,
            user_id = %event.data.user_id,
            "a customer signed up"
        );
        metrics::counter!("sign_ups_audited_total").increment(1);
        Ok(())
    }
}
