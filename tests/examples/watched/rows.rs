//! Rows of `docs/performance.md`.

use std::time::Duration;

use scenarios::figures::percentile_of_all;
use scenarios::watchers::Seen;

/// The most that an arrow may come after its hop, for 95 of 100.
const LATE_MAX_MS: f64 = 250.0;

/// How late hops were, in two rows.
pub(crate) fn late(when: &str, seen: &mut Seen) {
    let what = format!("a hop to a reader of all hops, {when}");
    let (read, _) = told(&mut seen.until_read, 0);
    row(&what, "", &read, None);
    let what = format!("a hop to its arrow in a journey that is looked at, {when}");
    let is_reached = is_in_time(seen);
    let (mut shown, _) = told(&mut seen.until_shown, seen.not_shown);
    shown.push_str(&format!("; {} never shown", seen.not_shown));
    row(&what, "p95 ≤ 250 ms", &shown, Some(is_reached));
}

/// Whether arrows came soon after their hops. One that was never shown is later than any limit.
pub(crate) fn is_in_time(seen: &Seen) -> bool {
    let (_, p95_ms) = told(&mut seen.until_shown.clone(), seen.not_shown);
    p95_ms <= LATE_MAX_MS
}

/// Times in words, and their 95th percentile in milliseconds; without an end where it is one of those that never came.
fn told(times: &mut [Duration], missing: usize) -> (String, f64) {
    times.sort_unstable();
    let ms = |time: Option<Duration>| time.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3);
    let at = |percent| ms(percentile_of_all(times, missing, percent));
    let (p50, p95, most) = (at(50), at(95), ms(times.last().copied()));
    let records = times.len();
    let told =
        format!("p50 {p50:.0} ms, p95 {p95:.0} ms, at most {most:.0} ms, of {records} records");
    (told, p95)
}

/// One row.
pub(crate) fn row(what: &str, target: &str, measured: &str, is_reached: Option<bool>) {
    let reached = match is_reached {
        Some(true) => "reached",
        Some(false) => "**not reached**",
        None => "",
    };
    println!("| {what} | {target} | {measured} | {reached} |");
}
