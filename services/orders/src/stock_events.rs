//! The consumer of decisions about stock.

use contracts::events::{StockRejected, StockReserved};
use outbox::{EventHandler, Failure, Reads, Received, Transaction};

use crate::{
    app::App,
    use_cases::decide::{Decision, Verdict, decide},
};

/// Handles decisions about stock.
pub(crate) struct StockEvents(pub(crate) App);

impl EventHandler for StockEvents {
    type Fact = Decision;

    /// `stock.released` is not among them: it is the consequence of a cancellation that this service announced itself.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contracts::asyncapi::received;
    use contracts::topics::STOCK_EVENTS;

    use super::*;

    /// Of what it does not handle the document says so, too.
    #[test]
    fn the_document_says_what_is_read() {
        let read: BTreeSet<_> = StockEvents::reads().types().map(str::to_owned).collect();
        assert_eq!(read, received(crate::events::GROUP, STOCK_EVENTS));
    }
}
