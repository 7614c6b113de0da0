//! Who calls: this program once more, in a container that has the network namespace of a service.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scenarios::Shop;
use scenarios::figures::percentile;
use serde_json::{Value, json};

/// The argument that makes this program the caller; behind it stand a base URL, calls a second, and seconds.
pub(crate) const CALL: &str = "call";
/// A read that a customer's look at the catalogue leads to.
const PATH: &str = "/v1/products?page_size=1";
/// Who share the calls. Each waits for its answers.
const CALLERS: u32 = 16;
/// Until the first call that counts: connections are there then.
const LEAD: Duration = Duration::from_millis(500);

/// The times of calls, in microseconds, the shortest first.
#[derive(Default)]
pub(crate) struct Timed {
    times_us: Vec<u64>,
    failed: usize,
}

/// Calls, and prints the times.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let base = arguments.next();
    let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok());
    let (Some(base), Some(rate), Some(seconds)) = (base, number(), number()) else {
        eprintln!("usage: {CALL} BASE-URL CALLS-A-SECOND SECONDS");
        return ExitCode::FAILURE;
    };
    let timed = call(&base, rate.max(1), seconds);
    println!("{}", timed.to_json());
    ExitCode::SUCCESS
}

/// Sends each call when it is due, whether or not those before are answered, unless all callers wait.
fn call(base: &str, rate: u32, seconds: u32) -> Timed {
    let (timed, start) = (Mutex::new(Timed::default()), Instant::now() + LEAD);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let timed = &timed;
            scope.spawn(move || {
                let shop = Shop::new(base);
                // Opens the connection; what comes of it is seen by the calls that count.
                let _ = shop.call("GET", PATH, &[], None);
                for n in (caller..rate * seconds).step_by(CALLERS as usize) {
                    let due = start + Duration::from_secs(1) * n / rate;
                    let early = due.saturating_duration_since(Instant::now());
                    std::thread::sleep(early);
                    // A call that those before it have delayed counts from when it was due; no other one has the kernel's
                    // delay of a wake-up in it.
                    let since = if early.is_zero() { due } else { Instant::now() };
                    let answer = shop.call("GET", PATH, &[], None);
                    let took = since.elapsed();
                    let is_good = answer.is_ok_and(|answer| answer.status == 200);
                    timed.lock().note(is_good, took);
                }
            });
        }
    });
    let mut timed = timed.into_inner();
    timed.times_us.sort_unstable();
    timed
}

impl Timed {
    fn note(&mut self, is_good: bool, took: Duration) {
        if is_good {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.times_us.push(micros);
        } else {
            self.failed += 1;
        }
    }

    fn to_json(&self) -> Value {
        json!({"times_us": self.times_us, "failed": self.failed})
    }

    /// What a caller has printed.
    ///
    /// # Panics
    /// When it has printed something else.
    pub(crate) fn read(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).expect("the caller's figures");
        let times = value["times_us"].as_array().expect("times");
        let failed = value["failed"].as_u64().expect("a number");
        Self {
            times_us: times.iter().filter_map(Value::as_u64).collect(),
            failed: usize::try_from(failed).expect("a number that was one there"),
        }
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.times_us.len() + self.failed
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        self.percentile_ms(50)
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        self.percentile_ms(99)
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        percentile(&self.times_us, percent) as f64 / 1e3
    }
}
