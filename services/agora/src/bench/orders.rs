//! Many orders, by the engine of `agora load`.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use serde_json::Value;

use super::market::Market;
use crate::failure::Failure;
use crate::load::{self, Cpu, Mails, Pace, Plan, Seen};

/// The orders of a run, and their mails.
pub(super) struct Placed {
    pub(super) accepted: u64,
    /// The results, in the form of `agora load --json`.
    pub(super) seen: Value,
    mails: Mails,
    cpu: Option<Cpu>,
}

/// Sends orders for `time`, and waits for their answers.
///
/// # Errors
/// If none is accepted.
pub(super) async fn place(market: &Market, pace: Pace, time: Duration) -> Result<Placed, Failure> {
    let (seen, never) = (Arc::new(Seen::new()), Shutdown::manual());
    let shop = market.gateway()?;
    let buyers = load::sign_up(&shop, &seen, &never).await?;
    let buyers = buyers.ok_or_else(|| Failure::new("stopped"))?;
    let mails = Mails::open(market.admin("notifications")?).await?;
    let cpu = Cpu::of(market.running(), market.data());
    let plan = Plan {
        shop,
        pace,
        time,
        give_back: false,
        flows: None,
    };
    load::send(plan, buyers, &seen, &never).await;
    let (accepted, seen) = (seen.count_accepted(), seen.json());
    if accepted == 0 {
        let why = &seen["errors"];
        return Err(Failure::new(format!("no order was accepted: {why}")));
    }
    Ok(Placed {
        accepted,
        seen,
        mails,
        cpu,
    })
}

impl Placed {
    /// A number of the results.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.seen[name].as_f64().unwrap_or_default()
    }

    /// The number of their mails that were sent so far.
    pub(super) async fn mailed(&self) -> Result<u64, Failure> {
        self.mails.sent().await
    }

    /// Waits until all of their mails are sent.
    ///
    /// # Errors
    /// If no more mails are sent for a while before that.
    pub(super) async fn all_mailed(&self) -> Result<(), Failure> {
        let mailed = self.mails.until(self.accepted, |_| {}).await?;
        if mailed["sent"].as_u64() < Some(self.accepted) {
            let (sent, accepted) = (&mailed["sent"], self.accepted);
            return Err(Failure::new(format!(
                "only {sent} mails of {accepted} were sent"
            )));
        }
        Ok(())
    }

    /// The CPU time of one order so far, in milliseconds: of the marketplace's process, and of PostgreSQL.
    ///
    /// # Errors
    /// If the kernel does not report it.
    pub(super) fn cpu_ms(&self) -> Result<(f64, f64), Failure> {
        let each = self.cpu.as_ref().and_then(|cpu| cpu.of_each(self.accepted));
        let told = each
            .and_then(|each| Some((each["process_ms"].as_f64()?, each["database_ms"].as_f64()?)));
        told.ok_or_else(|| Failure::new("this kernel does not count the CPU of processes"))
    }
}
