//! A quiet shop: each order comes when the mail of the one before was sent.

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::Run;
use super::super::row::Row;
use crate::failure::Failure;
use crate::load::{Buyers, Flows};

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    let buyers = Buyers::sign_up(&run.market.gateway()?).await?;
    let log = run.market.database("notifications")?;
    // The first one warms what all others use, and is in no latency.
    let first = Flows::new();
    order(&buyers, &first, 0, &log).await?;
    sleep(run.sizes.rest).await;
    let now = run.market.memory()?;
    let text = format!("{now:.0} MB");
    run.figures
        .put(Row::MemoryPurchase, text, json!({"mebibytes": now}));

    let flows = Flows::new();
    for number in 1..=run.sizes.quiet {
        order(&buyers, &flows, number, &log).await?;
    }
    let seen = flows.json();
    for (row, name, count) in [
        (Row::Decided, "decided_ms", "followed"),
        (Row::Mailed, "mailed_ms", "mailed"),
    ] {
        let text = latencies(&seen[name], &seen[count])?;
        run.figures.put(row, text, seen[name].clone());
    }
    Ok(())
}

/// Places one order, and waits until its mail was sent.
async fn order(buyers: &Buyers, flows: &Flows, number: usize, log: &str) -> Result<(), Failure> {
    let clicked = Instant::now();
    let id = buyers.order(number).await;
    let id = id.map_err(|kind| Failure::new(format!("an order was not accepted: {kind}")))?;
    if !flows.decided(buyers, number, &id, clicked).await {
        return Err(Failure::new("it was not seen how an order was decided"));
    }
    flows.mailed(log).await
}

fn latencies(of: &Value, orders: &Value) -> Result<String, Failure> {
    let at = |quantile: &str| of[quantile].as_f64();
    match (at("p50"), at("p99")) {
        (Some(p50), Some(p99)) => Ok(format!(
            "p50 {p50:.1} ms, p99 {p99:.1} ms ({orders} orders)"
        )),
        _ => Err(Failure::new("no mail was sent")),
    }
}
