//! What comes of the orders after the last of them was answered.

use serde_json::Value;

use super::{Cpu, Flows, Mails, Meter, Own, Seen};
use crate::failure::Failure;

/// Null where nobody asked for it, or where it was not waited for.
#[derive(Default)]
pub(super) struct Followed {
    mails: Value,
    cpu: Value,
    flow: Value,
}

impl Followed {
    /// Waits for what was asked for.
    ///
    /// # Errors
    /// If mails cannot be counted, or the delivery log cannot be read.
    pub(super) async fn see(
        mails: Option<Mails>,
        cpu: Option<Cpu>,
        flows: Option<&Flows>,
        own: Option<&Own>,
        seen: &Seen,
        meter: &Meter,
    ) -> Result<Self, Failure> {
        let accepted = seen.count_accepted();
        let mut followed = Self::default();
        if let Some(mails) = mails {
            let tell = |sent| meter.tell(&format!("{sent} of {accepted} mails"));
            followed.mails = mails.until(accepted, tell).await?;
        }
        followed.cpu = cpu.and_then(|cpu| cpu.of_each(accepted)).into();
        followed.flow = whole_way(flows, own).await?;
        Ok(followed)
    }

    /// Adds it to the outcome.
    pub(super) fn tell(self, outcome: &mut Value) {
        outcome["mails"] = self.mails;
        outcome["cpu_of_an_order"] = self.cpu;
        outcome["flow"] = self.flow;
    }
}

/// The latencies of the followed orders; null if none were to be followed.
async fn whole_way(flows: Option<&Flows>, own: Option<&Own>) -> Result<Value, Failure> {
    let Some(flows) = flows else {
        return Ok(Value::Null);
    };
    flows.all_decided().await;
    // The delivery log of a remote shop cannot be read.
    if let Some(log) = own.and_then(|own| own.database("notifications")) {
        flows.mailed(log).await?;
    }
    Ok(flows.json())
}
