//! How this service reacts to what products tells about stock.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::{db, trace};
use contracts::events::{StockRejected, StockReserved};
use envelope::{EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Handler, HandlerError};
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};

use crate::{
    app::App,
    error::OrdersError,
    use_cases::decide::{Decision, Verdict, decide},
};

/// Takes in decisions about stock.
pub(crate) struct StockEvents {
    app: App,
    /// A transaction each.
    places: Semaphore,
}

/// Decisions that are taken in by one transaction, at most.
const BATCH_MAX: usize = 64;

#[async_trait]
impl Handler for StockEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handle_batch(std::slice::from_ref(delivery)).await
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        self.take(batch)
            .await
            .map_err(OrdersError::into_handler_error)
    }
}

impl StockEvents {
    pub(crate) fn new(app: App) -> Arc<Self> {
        let places = Semaphore::new(db::consumers_share(&app.pool));
        Arc::new(Self { app, places })
    }

    async fn take(&self, batch: &[Delivery]) -> Result<(), OrdersError> {
        let mut decisions = Vec::with_capacity(batch.len());
        for delivery in batch {
            decisions.extend(read(delivery)?);
        }
        let span = match &decisions[..] {
            [] => return Ok(()),
            [decision] => decision.span.clone(),
            _ => Span::none(),
        };
        let _place = self.places.acquire().await.expect("never closed");
        decide(&self.app, decisions).instrument(span).await
    }
}

/// The decision in a message, if it is one.
fn read(delivery: &Delivery) -> Result<Option<Decision>, OrdersError> {
    let headers = &delivery.message.headers;
    let cause = RawEvent::from_binary(
        KAFKA_PREFIX,
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
        &delivery.message.payload,
    )?;
    let (order_id, verdict) = match cause.event_type.as_str() {
        StockReserved::TYPE => (
            cause.decode::<StockReserved>()?.data.order_id,
            Verdict::Reserved,
        ),
        StockRejected::TYPE => {
            let data = cause.decode::<StockRejected>()?.data;
            (data.order_id, Verdict::Rejected(data.reason))
        }
        // Released stock follows from what we told ourselves; types of tomorrow are not for us.
        _ => return Ok(None),
    };
    Ok(Some(Decision {
        span: trace::consumer_span("stock-events process", headers),
        cause,
        order_id,
        verdict,
    }))
}
