//! Callers who order without a pause, and everything that follows on the same machine.

use serde_json::json;

use super::super::row::Row;
use super::super::{Run, orders};
use crate::failure::Failure;

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    super::warm(run).await?;
    let (pace, time) = (run.sizes.all_callers(), run.sizes.busy);
    let placed = orders::place(&run.market, pace, time);
    let (placed, while_ordered) = run.market.most_memory_during(placed).await;
    let placed = placed?;
    let meanwhile = placed.mailed().await?;
    let per_second = placed.number("per_second");
    let latency = &placed.seen["latency_ms"];
    let at = |quantile: &str| latency[quantile].as_f64().unwrap_or_default();
    let text = format!(
        "{per_second:.0} /s (p50 {:.0} ms, p99 {:.0} ms)",
        at("p50"),
        at("p99")
    );
    let values = json!({
        "per_second": per_second, "latency_ms": latency, "errors": placed.seen["errors"],
    });
    run.figures.put(Row::Orders, text, values);
    let ratio = meanwhile as f64 / placed.accepted as f64;
    let text = format!("{ratio:.2}");
    run.figures.put(Row::Mails, text, json!({"ratio": ratio}));

    let mailed = run.market.most_memory_during(placed.all_mailed());
    let (mailed, while_mailed) = mailed.await;
    mailed?;
    let (process, database) = placed.cpu_ms()?;
    let text = format!("{:.2} ms: {process:.2} + {database:.2}", process + database);
    let values = json!({"process_ms": process, "database_ms": database});
    run.figures.put(Row::Cpu, text, values);
    let (now, most) = (run.market.memory()?, while_ordered?.max(while_mailed?));
    let text = format!(
        "{now:.0} MB after {} orders, {most:.0} at most",
        placed.accepted
    );
    let values = json!({"mebibytes": now, "most_mebibytes": most});
    run.figures.put(Row::MemoryLoaded, text, values);
    Ok(())
}
