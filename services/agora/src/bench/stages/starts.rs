//! Starts, and the memory and CPU of an idle marketplace.

use serde_json::json;
use tokio::time::sleep;

use super::super::Run;
use super::super::row::Row;
use crate::failure::Failure;
use crate::load::Cpu;

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    let first = run.first_start.as_secs_f64();
    let text = format!("{first:.2} s");
    run.figures
        .put(Row::FirstStart, text, json!({"seconds": first}));
    let mut took = Vec::with_capacity(run.sizes.starts);
    for _ in 0..run.sizes.starts {
        took.push(run.restart().await?.as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    let (least, most) = (
        took.first().copied().unwrap_or_default(),
        took.last().copied().unwrap_or_default(),
    );
    let text = format!("{least:.2} to {most:.2} s ({} starts)", took.len());
    let values = json!({"least_seconds": least, "most_seconds": most});
    run.figures.put(Row::WarmStart, text, values);

    sleep(run.sizes.rest).await;
    let now = run.market.memory()?;
    let text = format!("{now:.0} MB, {} s after a start", run.sizes.rest.as_secs());
    run.figures
        .put(Row::MemoryIdle, text, json!({"mebibytes": now}));
    idle_cpu(run).await
}

/// The CPU of an idle marketplace, as a share of a core.
async fn idle_cpu(run: &mut Run) -> Result<(), Failure> {
    let cpu = Cpu::of(run.market.running(), run.market.data());
    sleep(run.sizes.rest).await;
    let taken = cpu.and_then(|cpu| cpu.of_each(1));
    let taken = taken.and_then(|taken| taken["process_ms"].as_f64());
    let taken =
        taken.ok_or_else(|| Failure::new("this kernel does not count the CPU of processes"))?;
    let percent = taken / 1e3 / run.sizes.rest.as_secs_f64() * 100.0;
    let text = format!("{percent:.0} % of a core");
    run.figures
        .put(Row::CpuIdle, text, json!({"percent": percent}));
    Ok(())
}
