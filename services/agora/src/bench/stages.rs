//! The stages of a run, in their order. Each measures some rows, and leaves the marketplace as it found it: running, with
//! nothing left to do.
//!
//! | where | what |
//! |---|---|
//! | `starts.rs` | starts, memory and CPU at rest |
//! | `quiet.rs` | one order at a time, until its mail |
//! | `sign_ins.rs` | memory while passwords are hashed |
//! | `busy.rs` | callers who order without a pause |
//! | `held.rs` | the same with the relay of orders held still |
//! | `beside.rs` | pgbench |
//! | `stream.rs` | from the commit to a consumer |
//! | `counted.rs` | what PostgreSQL counts for an order |

mod beside;
mod busy;
mod counted;
mod held;
mod quiet;
mod sign_ins;
mod starts;
mod stream;

use super::Run;
use super::row::Row;
use crate::failure::Failure;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starts,
    Quiet,
    SignIns,
    Busy,
    Held,
    Beside,
    Stream,
    Counted,
}

impl Stage {
    /// In the order in which they run. Counting comes last: the extension that counts statements takes a few percent of the CPU, and
    /// stays.
    pub(super) const ALL: [Self; 8] = [
        Self::Starts,
        Self::Quiet,
        Self::SignIns,
        Self::Busy,
        Self::Held,
        Self::Beside,
        Self::Stream,
        Self::Counted,
    ];

    /// The rows that need it.
    pub(super) const fn rows(self) -> &'static [Row] {
        match self {
            Self::Starts => &[
                Row::FirstStart,
                Row::WarmStart,
                Row::MemoryIdle,
                Row::CpuIdle,
            ],
            Self::Quiet => &[Row::MemoryPurchase, Row::Decided, Row::Mailed],
            Self::SignIns => &[Row::MemorySignIns],
            Self::Busy => &[
                Row::Orders,
                Row::Mails,
                Row::Cpu,
                Row::MemoryLoaded,
                Row::OrdersBesidePgbench,
            ],
            Self::Held => &[Row::OrdersHeld, Row::HeldBesidePgbench],
            Self::Beside => &[
                Row::Pgbench,
                Row::OrdersBesidePgbench,
                Row::HeldBesidePgbench,
            ],
            Self::Stream => &[Row::Stream],
            Self::Counted => &[Row::Saturated, Row::HalfLoad],
        }
    }

    /// The line that is printed while it runs.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Quiet => "one order at a time",
            Self::SignIns => "sign-ins",
            Self::Busy => "orders without a pause, until the last mail",
            Self::Held => "the same, with the relay held still",
            Self::Beside => "pgbench",
            Self::Stream => "events, from commit to consumer",
            Self::Counted => "statements of an order",
        }
    }

    /// Measures its rows.
    ///
    /// # Errors
    /// If something cannot be measured; earlier results are kept.
    pub(super) async fn measure(self, run: &mut Run) -> Result<(), Failure> {
        match self {
            Self::Starts => starts::measure(run).await,
            Self::Quiet => quiet::measure(run).await,
            Self::SignIns => sign_ins::measure(run).await,
            Self::Busy => busy::measure(run).await,
            Self::Held => held::measure(run).await,
            Self::Beside => beside::measure(run).await,
            Self::Stream => stream::measure(run).await,
            Self::Counted => counted::measure(run).await,
        }
    }
}

/// Warms up connections, statements and caches, unless that was done.
async fn warm(run: &mut Run) -> Result<(), Failure> {
    if run.is_warm {
        return Ok(());
    }
    let (pace, time) = (run.sizes.all_callers(), run.sizes.warm);
    let placed = super::orders::place(&run.market, pace, time).await?;
    placed.all_mailed().await?;
    run.is_warm = true;
    Ok(())
}

/// A failure of PostgreSQL.
fn failed(error: sqlx::Error) -> Failure {
    Failure::new(format!("PostgreSQL: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_row_has_a_stage() {
        for row in Row::value_variants() {
            let stages = Stage::ALL.iter().filter(|stage| stage.rows().contains(row));
            assert!(stages.count() > 0, "{row:?}");
        }
    }
}
