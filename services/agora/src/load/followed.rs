//! What comes of the orders after the last of them was answered.

use serde_json::Value;

use super::{Cpu, Flows, Mails, Meter, Own, Seen};
use crate::failure::Failure;

/// Null where nobody asked for it, or where nothing was seen of it.
#[derive(Default)]
pub(super) struct Followed {
    mails: Value,
    cpu: Value,
    flow: Value,
}

impl Followed {
    /// Waits for what was asked for, at most until `stopped`; returns what was seen until then. So it does after an error, which
    /// is that mails cannot be counted, or the delivery log cannot be read.
    pub(super) async fn see(
        mails: Option<Mails>,
        cpu: Option<Cpu>,
        flows: Option<&Flows>,
        own: Option<&Own>,
        seen: &Seen,
        meter: &Meter,
        stopped: impl Future<Output = ()>,
    ) -> (Self, Result<(), Failure>) {
        let accepted = seen.count_accepted();
        let cpu = || Value::from(cpu.as_ref().and_then(|cpu| cpu.of_each(accepted)));
        let mut followed = Self::default();
        let waiting = async {
            if let Some(mails) = mails {
                let tell = |sent| meter.tell(&format!("{sent} of {accepted} mails"));
                followed.mails = mails.until(accepted, tell).await?;
            }
            // Before the delivery log is read, which takes some, too.
            followed.cpu = cpu();
            whole_way(flows, own).await
        };
        let waited = tokio::select! {
            waited = waiting => waited,
            () = stopped => Ok(()),
        };
        if followed.cpu.is_null() {
            followed.cpu = cpu();
        }
        followed.flow = flows.map_or(Value::Null, Flows::json);
        (followed, waited)
    }

    /// Adds it to the outcome.
    pub(super) fn tell(self, outcome: &mut Value) {
        outcome["mails"] = self.mails;
        outcome["cpu_of_an_order"] = self.cpu;
        outcome["flow"] = self.flow;
    }
}

/// Waits until the followed orders are decided and their mails sent, if some were to be followed.
async fn whole_way(flows: Option<&Flows>, own: Option<&Own>) -> Result<(), Failure> {
    let Some(flows) = flows else {
        return Ok(());
    };
    flows.all_decided().await;
    // The delivery log of a remote shop cannot be read.
    match own.and_then(|own| own.database("notifications")) {
        Some(log) => flows.mailed(log).await,
        None => Ok(()),
    }
}
