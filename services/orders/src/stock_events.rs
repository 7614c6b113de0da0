//! How this service reacts to what products tells about stock.

use contracts::events::{StockRejected, StockReserved};
use outbox::{EventHandler, Failure, Reads, Received, Transaction};

use crate::{
    app::App,
    use_cases::decide::{Decision, Verdict, decide},
};

/// Takes in decisions about stock.
pub(crate) struct StockEvents(pub(crate) App);

impl EventHandler for StockEvents {
    type Fact = Decision;

    /// Released stock is not among them: it follows from what we told ourselves.
    fn reads() -> Reads<Decision> {
        Reads::new()
            .event(|StockReserved { order_id }| Decision {
                order_id,
                verdict: Verdict::Reserved,
            })
            .event(|StockRejected { order_id, reason }| Decision {
                order_id,
                verdict: Verdict::Rejected(reason),
            })
    }

    fn name_of(&self, _: &[Received<Decision>]) -> &'static str {
        "decide order"
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        decisions: Vec<Received<Decision>>,
    ) -> Result<(), Failure> {
        decide(&self.0, tx, decisions).await
    }
}
