//! What grows with orders, and what gives way first: costs that were measured, multiplied, and a queue that is simulated.
//!
//! ```text
//! cargo run -p scenarios --example scale
//! ```
//!
//! Nothing is measured here: it prints the same on every machine. The costs are those of `docs/performance.md`.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

/// CPU of everything for one order until its mail is sent, in microseconds: ours and PostgreSQL's.
const CPU_US: u64 = 2_210;
/// What one PostgreSQL on two cores takes of the order's own statement each second (pgbench).
const WRITES: u64 = 8_092;
/// The cores of that PostgreSQL.
const WRITE_CORES: usize = 2;
/// Bytes of WAL for one order, at saturation.
const WAL_BYTES: u64 = 9_300;
/// Events for one order: placed, reserved, confirmed. Each has one reader here that notes it in its inbox.
const EVENTS: u64 = 3;
/// Events a second that two relays of one outbox publish to a broker that answers at once.
const RELAYED: u64 = 39_575;
/// How long inboxes and the log of mails remember, in seconds: `INBOX_RETENTION`, `DELIVERY_RETENTION`.
const INBOX_S: u64 = 192 * 3_600;
const MAILS_S: u64 = 90 * 86_400;
/// The part of a machine that is used in a usual hour, in percent: the rest is for the hour that is not.
const USE_PERCENT: u64 = 60;

/// Orders a second.
const RATES: [u64; 3] = [10, 1_000, 100_000];
/// How busy the simulated database is, in percent.
const BUSY: [u64; 5] = [30, 60, 80, 90, 95];
/// Orders of each simulation.
const SIMULATED: usize = 200_000;

fn main() {
    println!("orders a second                  {}", row(|rate| rate));
    println!("cores for everything             {}", row(cores));
    println!("primaries of two cores           {}", row(primaries));
    println!(
        "WAL, MB a second                 {}",
        row(|rate| rate * WAL_BYTES / 1_000_000)
    );
    println!(
        "WAL, GB a day                    {}",
        row(|rate| rate * WAL_BYTES * 86_400 / 1_000_000_000)
    );
    println!(
        "events a second                  {}",
        row(|rate| rate * EVENTS)
    );
    println!("outboxes that two relays empty   {}", row(outboxes));
    println!(
        "rows of inboxes, millions        {}",
        row(|rate| rate * EVENTS * INBOX_S / 1_000_000)
    );
    println!(
        "rows of mails, millions          {}",
        row(|rate| rate * MAILS_S / 1_000_000)
    );
    println!(
        "rows of orders a year, millions  {}",
        row(|rate| rate * 365 * 86_400 / 1_000_000)
    );
    println!();
    println!("a primary that is busy   half of orders wait for   one in a hundred");
    for percent in BUSY {
        let [half, late] = waits(percent);
        println!("{percent:>19} % {half:>22.1} ms {late:>15.1} ms");
    }
}

/// A figure for each rate.
fn row(figure: impl Fn(u64) -> u64) -> String {
    let figures = RATES.map(|rate| format!("{:>12}", grouped(figure(rate))));
    figures.concat()
}

fn cores(rate: u64) -> u64 {
    (rate * CPU_US * 100).div_ceil(1_000_000 * USE_PERCENT)
}

/// How many databases of orders there have to be.
fn primaries(rate: u64) -> u64 {
    (rate * 100).div_ceil(WRITES * USE_PERCENT)
}

/// How many outboxes of orders, which tells two of the three events.
fn outboxes(rate: u64) -> u64 {
    (rate * (EVENTS - 1) * 100).div_ceil(RELAYED * USE_PERCENT)
}

/// The time from an order's arrival until it is written, in milliseconds: the half and the 99th percentile.
///
/// Orders come by chance, each takes a time by chance, and goes to the core that is free first.
fn waits(percent: u64) -> [f64; 2] {
    let mut chance = Chance(1);
    let work_ms = WRITE_CORES as f64 * 1_000.0 / WRITES as f64;
    let pause_ms = work_ms * 100.0 / (WRITE_CORES as f64 * percent as f64);
    let mut free_at = [0.0_f64; WRITE_CORES];
    let mut now = 0.0;
    let mut took = Vec::with_capacity(SIMULATED);
    for _ in 0..SIMULATED {
        now += chance.about(pause_ms);
        let first = usize::from(free_at[1] < free_at[0]);
        let end = free_at[first].max(now) + chance.about(work_ms);
        free_at[first] = end;
        took.push(end - now);
    }
    took.sort_by(f64::total_cmp);
    [50, 99].map(|percentile| took[SIMULATED * percentile / 100])
}

/// Numbers by chance, the same at each run (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    /// An exponentially distributed time with this mean.
    fn about(&mut self, mean: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        // 53 bits, and never 0.
        let share = ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -mean * share.ln()
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
