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
/// A call that is later than this counts as failed and is not sent: whoever does not answer is not waited for call by call.
const LATE_MAX: Duration = Duration::from_secs(10);

/// The times of calls, in microseconds, the shortest first.
#[derive(Default)]
pub(crate) struct Timed {
    times_us: Vec<u64>,
    failed: usize,
    /// Why the first of them did.
    why: Option<String>,
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
                let _ = ask(&shop);
                for n in (caller..rate * seconds).step_by(CALLERS as usize) {
                    let due = start + Duration::from_secs(1) * n / rate;
                    if due.elapsed() > LATE_MAX {
                        let late = format!("not sent, since it was {LATE_MAX:?} late");
                        timed.lock().note(Err(late), LATE_MAX);
                        continue;
                    }
                    let early = due.saturating_duration_since(Instant::now());
                    std::thread::sleep(early);
                    // A call that those before it have delayed counts from when it was due; no other one has the kernel's
                    // delay of a wake-up in it.
                    let since = if early.is_zero() { due } else { Instant::now() };
                    let outcome = ask(&shop);
                    timed.lock().note(outcome, since.elapsed());
                }
            });
        }
    });
    let mut timed = timed.into_inner();
    timed.times_us.sort_unstable();
    timed
}

fn ask(shop: &Shop) -> Result<(), String> {
    match shop.call("GET", PATH, &[], None) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{}: {}", answer.status, answer.text)),
        Err(error) => Err(error.to_string()),
    }
}

impl Timed {
    fn note(&mut self, outcome: Result<(), String>, took: Duration) {
        match outcome {
            Ok(()) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.times_us.push(micros);
            }
            Err(why) => {
                self.failed += 1;
                self.why.get_or_insert(why);
            }
        }
    }

    fn to_json(&self) -> Value {
        json!({"times_us": self.times_us, "failed": self.failed, "why": self.why})
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
            why: value["why"].as_str().map(str::to_owned),
        }
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// Why the first one failed.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
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
