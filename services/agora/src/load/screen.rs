//! The output: progress, and the results.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use crate::failure::Failure;

/// Shows progress: one changing line on a terminal, otherwise a line a second on standard error.
pub(crate) struct Meter(Option<ProgressBar>);

impl Meter {
    /// The interval of progress lines.
    pub(crate) const EVERY: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        }))
    }

    pub(crate) fn tell(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(text.to_owned()),
            // Nobody reads the output; the work goes on.
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints the outcome.
pub(super) fn print(outcome: &Value, as_json: bool) -> Result<(), Failure> {
    let text = match as_json {
        true => format!("{outcome:#}\n"),
        false => lines(outcome),
    };
    Ok(chassis::output::print(&text)?)
}

fn lines(outcome: &Value) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |name: &str, what: String| {
        let _ = writeln!(text, "{name:<18} {what}");
    };
    line(
        "orders accepted",
        format!(
            "{} of {} sent in {:.1} s: {:.1} a second",
            outcome["accepted"],
            outcome["sent"],
            number(&outcome["seconds"]),
            number(&outcome["per_second"]),
        ),
    );
    for (name, latencies) in latencies(outcome) {
        line(name, latencies);
    }
    if let Some(lost @ 1..) = outcome["flow"]["lost"].as_u64() {
        let followed = lost + outcome["flow"]["followed"].as_u64().unwrap_or_default();
        line(
            "not seen decided",
            format!("{lost} of {followed} that were followed"),
        );
    }
    for (kind, count) in outcome["errors"].as_object().into_iter().flatten() {
        line("not accepted", format!("{count} × {kind}"));
    }
    if let Some(given_back @ 1..) = outcome["given_back"].as_u64() {
        line("given back", format!("{given_back} orders were cancelled"));
    }
    if let Some(mails) = mails(&outcome["mails"]) {
        line("mails", mails);
    }
    if let Some(cpu) = cpu(&outcome["cpu_of_an_order"]) {
        line("CPU of an order", cpu);
    }
    if let Some(tps) = outcome["pgbench_per_second"].as_f64() {
        let share = number(&outcome["per_second"]) / tps;
        line(
            "pgbench",
            format!("{tps:.0} a second: orders are {share:.2} of it"),
        );
    }
    text
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// The latencies that were measured.
fn latencies(outcome: &Value) -> Vec<(&'static str, String)> {
    let all = [
        ("until accepted", &outcome["latency_ms"]),
        ("until refused", &outcome["refused_ms"]),
        ("until decided", &outcome["flow"]["decided_ms"]),
        ("until mailed", &outcome["flow"]["mailed_ms"]),
    ];
    let measured = all.into_iter().filter(|(_, at)| at.is_object());
    let told = measured.map(|(name, at)| {
        let of = |quantile: &str| format!("{quantile} {:.1} ms", number(&at[quantile]));
        (
            name,
            ["p50", "p90", "p99", "p999", "max"].map(of).join("  "),
        )
    });
    told.collect()
}

/// The results of the mails, if they were waited for.
fn mails(mails: &Value) -> Option<String> {
    mails.is_object().then(|| {
        format!(
            "{} of {} sent, the last one {:.1} s after the last order",
            mails["sent"],
            mails["wanted"],
            number(&mails["seconds_after"]),
        )
    })
}

/// The CPU time of an order, if the kernel reports it.
fn cpu(cpu: &Value) -> Option<String> {
    let all = [
        ("the shop", "process_ms"),
        ("PostgreSQL", "database_ms"),
        ("brokers", "broker_ms"),
    ];
    let told = all
        .into_iter()
        .filter_map(|(who, of)| Some(format!("{who} {:.2} ms", cpu[of].as_f64()?)));
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_a_table_of_what_there_is() {
        let at = json!({"p50": 4.0, "p90": 5.0, "p99": 9.5, "p999": 20.0, "max": 21.0});
        let outcome = json!({
            "accepted": 590, "sent": 600, "seconds": 30.0, "per_second": 19.7, "errors": {"503": 10},
            "latency_ms": at, "refused_ms": null, "given_back": 0,
            "mails": {"sent": 590, "wanted": 590, "seconds_after": 0.3},
            "cpu_of_an_order": {"process_ms": 1.936, "database_ms": 2.1},
            "flow": {"followed": 9, "lost": 2, "decided_ms": at, "mailed_ms": null}, "pgbench_per_second": 197.0,
        });
        assert_eq!(
            lines(&outcome),
            "orders accepted    590 of 600 sent in 30.0 s: 19.7 a second\n\
             until accepted     p50 4.0 ms  p90 5.0 ms  p99 9.5 ms  p999 20.0 ms  max 21.0 ms\n\
             until decided      p50 4.0 ms  p90 5.0 ms  p99 9.5 ms  p999 20.0 ms  max 21.0 ms\n\
             not seen decided   2 of 11 that were followed\n\
             not accepted       10 × 503\n\
             mails              590 of 590 sent, the last one 0.3 s after the last order\n\
             CPU of an order    the shop 1.94 ms, PostgreSQL 2.10 ms\n\
             pgbench            197 a second: orders are 0.10 of it\n"
        );
    }
}
