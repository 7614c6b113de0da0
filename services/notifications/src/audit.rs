//! The audit trail of sign-ups: a second subscriber of the exchange, with a queue and a pace of its own.
//!
//! The trail is the service's log, which is collected and kept elsewhere. It says who and when, not the address.

use async_trait::async_trait;
use contracts::events::UserCreated;
use messaging::{Delivery, Handler, HandlerError};

/// Writes a line for each sign-up. A sign-up that comes again is a second line with the same `event_id`.
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
