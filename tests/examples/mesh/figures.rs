//! Rows of `docs/performance.md`.

use std::time::Duration;

use scenarios::figures::percentile;

use crate::caller::Timed;
use crate::stage::{RATE, Stage, Used, Way};

/// What two sidecars may add to the median of a call.
const ADDED_MAX_MS: f64 = 1.0;
/// How long the start of the overlay may take when images are there.
const START_MAX: Duration = Duration::from_secs(20);

/// Calls of one way, and what they cost.
pub(crate) struct Round {
    way: Way,
    pub(crate) timed: Timed,
    used: Used,
}

impl Round {
    pub(crate) fn measure(stage: &Stage, way: Way, seconds: u32) -> Self {
        let before = stage.used();
        let timed = stage.call(way, seconds);
        let after = stage.used();
        let used = Used {
            service: after.service - before.service,
            sidecars: after.sidecars - before.sidecars,
            authority: after.authority - before.authority,
        };
        Self { way, timed, used }
    }

    /// Through the sidecars, while the authority is replaced.
    ///
    /// # Panics
    /// When the new one has signed nothing in that time.
    pub(crate) fn rotating(stage: &Stage, seconds: u32) -> Self {
        let before = stage.signer();
        stage.change_authority();
        let round = Self::measure(stage, Way::Sidecars, seconds);
        let after = stage.signer();
        assert_ne!(before, after, "the new authority has signed nothing yet");
        round
    }

    /// Microseconds of CPU for a call.
    fn for_a_call(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.timed.calls() as f64
    }
}

/// Times and CPU of a call, direct and through sidecars, and what these add.
pub(crate) fn print_calls(rounds: &[Round], seconds: u32) {
    println!("| what | target | measured | |\n|---|---|---|---|");
    let of = |way: Way| rounds.iter().filter(move |round| round.way == way);
    let count = of(Way::Direct).count();
    for way in Way::ALL {
        let p50 = told(of(way).map(|round| round.timed.p50_ms()));
        let p99 = told(of(way).map(|round| round.timed.p99_ms()));
        let name = way.name();
        let when = format!("{RATE} a second, {count} rounds of {seconds} s: min, median");
        row(
            &format!("one call, {name}; {when}"),
            "",
            &format!("p50 {p50} ms, p99 {p99} ms"),
            None,
        );
    }
    let p50 = |way| middle(of(way).map(|round| round.timed.p50_ms()));
    let added = p50(Way::Sidecars) - p50(Way::Direct);
    row(
        "what two sidecars add to it",
        "p50 ≤ 1 ms",
        &format!("{added:.2} ms"),
        Some(added <= ADDED_MAX_MS),
    );
    for way in Way::ALL {
        let service = middle(of(way).map(|round| round.for_a_call(round.used.service)));
        let sidecars = middle(of(way).map(|round| round.for_a_call(round.used.sidecars)));
        row(
            &format!("CPU for it, {}: median", way.name()),
            "",
            &format!("the service {service:.0} µs, both sidecars {sidecars:.0} µs"),
            None,
        );
    }
}

/// Of all sidecars, the smallest and the largest.
pub(crate) fn print_memory(at_rest: &[f64], after_load: &[f64]) {
    let ends = |sorted: &[f64]| {
        let (least, most) = (percentile(sorted, 0), percentile(sorted, 100));
        format!("{least:.0} to {most:.0} MiB")
    };
    let measured = format!("{}; after the calls {}", ends(at_rest), ends(after_load));
    row("resident memory of a sidecar", "≤ 128 MiB", &measured, None);
}

pub(crate) fn print_start(took: Duration) {
    let seconds = took.as_secs_f64();
    let what = "start of the overlay until all is healthy, images there";
    let measured = format!("{seconds:.1} s");
    row(what, "≤ 20 s", &measured, Some(took <= START_MAX));
}

pub(crate) fn print_rotation(round: &Round) {
    let (timed, used) = (&round.timed, round.used);
    let what = format!(
        "calls through the sidecars while the authority and all certificates change, {} of them",
        timed.calls()
    );
    let sidecars = round.for_a_call(used.sidecars);
    let measured = format!(
        "p50 {:.2} ms, p99 {:.2} ms, {} failed; CPU of both sidecars {sidecars:.0} µs a call, of the authority {:.2} s in all",
        timed.p50_ms(),
        timed.p99_ms(),
        timed.failed(),
        used.authority,
    );
    row(&what, "0 fail", &measured, Some(timed.failed() == 0));
}

fn told(rounds: impl Iterator<Item = f64>) -> String {
    let sorted = sorted(rounds);
    let (least, middle) = (percentile(&sorted, 0), percentile(&sorted, 50));
    format!("{least:.2}, {middle:.2}")
}

fn middle(rounds: impl Iterator<Item = f64>) -> f64 {
    percentile(&sorted(rounds), 50)
}

fn sorted(rounds: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = rounds.collect();
    all.sort_by(f64::total_cmp);
    all
}

fn row(what: &str, target: &str, measured: &str, is_reached: Option<bool>) {
    let reached = match is_reached {
        Some(true) => "reached",
        Some(false) => "**not reached**",
        None => "",
    };
    println!("| {what} | {target} | {measured} | {reached} |");
}
