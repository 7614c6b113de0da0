//! The breaker beside a slow, obvious one: whatever is done to both, they show the same.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tokio::time::advance;

use crate::circuit_breaker::{CircuitBreaker, Config, Permit, Snapshot, State, Window};
use crate::classify::Outcome;

const MS: Duration = Duration::from_millis(1);

/// Everything written down as one would say it: a list of all calls, a list of all permits.
struct Model {
    config: Config,
    now: Duration,
    state: State,
    /// While open.
    until: Duration,
    /// Since it was last closed.
    openings: u32,
    generation: u32,
    /// When they ended and how; newest last. All since the window was cleared.
    calls: Vec<(Duration, Kind)>,
    /// How many of the newest calls failed.
    in_a_row: u32,
    in_progress: Vec<Call>,
    succeeded: usize,
    totals: [u64; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Bad,
    Slow,
}

struct Call {
    started: Duration,
    generation: u32,
    is_probe: bool,
}

impl Model {
    fn new(config: Config) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            state: State::Closed,
            until: Duration::ZERO,
            openings: 0,
            generation: 0,
            calls: Vec::new(),
            in_a_row: 0,
            in_progress: Vec::new(),
            succeeded: 0,
            totals: [0; 4],
        }
    }

    fn go_to(&mut self, state: State) {
        self.generation += 1;
        if self.state != state {
            match state {
                State::Open | State::ForcedOpen => self.totals[0] += 1,
                State::HalfOpen => self.totals[1] += 1,
                State::Closed | State::ForcedClosed => self.totals[2] += 1,
            }
        }
        self.state = state;
        self.succeeded = 0;
    }

    fn open(&mut self) {
        let mut length = self.config.open;
        for _ in 0..self.openings {
            length = (length * 2).min(self.config.open_max);
        }
        self.openings += 1;
        self.until = self.now + length;
        self.go_to(State::Open);
    }

    fn start_over(&mut self, state: State) {
        self.go_to(state);
        self.openings = 0;
        self.calls.clear();
        self.in_a_row = 0;
    }

    fn probes(&self) -> usize {
        let counts = |call: &&Call| call.is_probe && call.generation == self.generation;
        self.in_progress.iter().filter(counts).count()
    }

    fn is_available(&self) -> bool {
        match self.state {
            State::Closed | State::ForcedClosed => true,
            State::ForcedOpen => false,
            State::Open => self.now >= self.until,
            State::HalfOpen => {
                let missing = self.config.successes as usize - self.succeeded;
                self.probes() < missing.min(self.config.probes as usize)
            }
        }
    }

    fn acquire(&mut self) -> bool {
        if !self.is_available() {
            self.totals[3] += 1;
            return false;
        }
        if self.state == State::Open {
            self.go_to(State::HalfOpen);
        }
        self.in_progress.push(Call {
            started: self.now,
            generation: self.generation,
            is_probe: self.state == State::HalfOpen,
        });
        true
    }

    fn finish(&mut self, index: usize, outcome: Outcome) {
        let call = self.in_progress.remove(index);
        if call.generation != self.generation || outcome == Outcome::Ignored {
            return;
        }
        let took = self.now - call.started;
        let kind = match outcome {
            _ if self.config.slow_call.is_some_and(|slow| took >= slow) => Kind::Slow,
            Outcome::Success => Kind::Good,
            _ => Kind::Bad,
        };
        match (self.state, kind) {
            (State::Closed, _) => self.count(kind),
            (State::HalfOpen, Kind::Good) => {
                self.succeeded += 1;
                if self.succeeded == self.config.successes as usize {
                    self.start_over(State::Closed);
                }
            }
            (State::HalfOpen, _) => self.open(),
            _ => {}
        }
    }

    fn count(&mut self, kind: Kind) {
        self.calls.push((self.now, kind));
        if kind == Kind::Good {
            self.in_a_row = 0;
            return;
        }
        self.in_a_row += 1;
        let (calls, failures, _) = self.seen();
        let is_row = (self.config.consecutive_failures).is_some_and(|most| self.in_a_row >= most);
        let rate = f64::from(failures) / f64::from(calls) * 100.0;
        let is_rate = rate >= f64::from(self.config.failure_rate_percent);
        if is_row || (is_rate && calls >= self.config.minimum_calls) {
            self.open();
        }
    }

    /// Calls, failures and slow ones in the window.
    fn seen(&self) -> (u32, u32, u32) {
        let in_window = |index: usize, ended: Duration| match self.config.window {
            Window::Calls(last) => index + last as usize >= self.calls.len(),
            Window::Time(length) => {
                let tick = |time: Duration| time.as_nanos() / (length / 10).as_nanos();
                tick(ended) + 10 > tick(self.now)
            }
        };
        let kinds = self
            .calls
            .iter()
            .enumerate()
            .filter_map(|(index, (ended, kind))| in_window(index, *ended).then_some(*kind));
        let kinds: Vec<_> = kinds.collect();
        let count = |is: fn(&Kind) -> bool| kinds.iter().filter(|kind| is(kind)).count() as u32;
        (
            count(|_| true),
            count(|k| *k != Kind::Good),
            count(|k| *k == Kind::Slow),
        )
    }

    fn snapshot(&self) -> Snapshot {
        let (calls, failures, slow) = self.seen();
        let [opened, half_opened, closed, rejected] = self.totals;
        Snapshot {
            name: "model".to_owned(),
            state: self.state,
            open_for: (self.state == State::Open).then(|| self.until.saturating_sub(self.now)),
            probes: self.probes() as u32,
            calls,
            failures,
            slow,
            consecutive_failures: self.in_a_row,
            opened,
            half_opened,
            closed,
            rejected,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Acquire,
    Finish(usize, Outcome),
    Cancel(usize),
    Wait(u64),
    ForceOpen,
    ForceClosed,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Success),
        6 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
    ];
    prop_oneof![
        40 => Just(Step::Acquire),
        40 => (0..8_usize, outcome).prop_map(|(index, outcome)| Step::Finish(index, outcome)),
        4 => (0..8_usize).prop_map(Step::Cancel),
        15 => (1..60_u64).prop_map(Step::Wait),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::ForceClosed),
        2 => Just(Step::Reset),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let window = prop_oneof![
        (1..12_u32).prop_map(Window::Calls),
        (1..20_u32).prop_map(|tens| Window::Time(MS * 10 * tens)),
    ];
    let trip = (1..12_u32, 1..=100_u8, option::of(1..6_u32));
    let slow = option::weighted(0.3, (1..100_u32).prop_map(|ms| MS * ms));
    let open = (1..60_u32, 0..200_u32, 1..5_u32, 0..4_u32);
    (window, trip, slow, open).prop_map(|(window, trip, slow_call, open)| {
        let (minimum_calls, failure_rate_percent, consecutive_failures) = trip;
        let (open, more, probes, successes) = open;
        let most = match window {
            Window::Calls(calls) => calls,
            Window::Time(_) => u32::MAX,
        };
        Config {
            window,
            minimum_calls: minimum_calls.min(most),
            failure_rate_percent,
            consecutive_failures,
            slow_call,
            open: MS * open,
            open_max: MS * (open + more),
            open_jitter_percent: 0,
            probes,
            successes: probes + successes,
        }
    })
}

async fn compare(config: Config, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = CircuitBreaker::new("model", config.clone()).unwrap();
    let mut model = Model::new(config);
    let mut permits: Vec<Permit<&CircuitBreaker>> = Vec::new();
    for step in steps {
        match step {
            Step::Acquire => {
                prop_assert_eq!(breaker.is_available(), model.is_available());
                let permit = breaker.acquire();
                prop_assert_eq!(permit.is_ok(), model.acquire());
                permits.extend(permit);
            }
            Step::Finish(index, outcome) if index < permits.len() => {
                permits.remove(index).record(outcome);
                model.finish(index, outcome);
            }
            Step::Cancel(index) if index < permits.len() => {
                drop(permits.remove(index));
                model.finish(index, Outcome::Ignored);
            }
            Step::Finish(..) | Step::Cancel(_) => {}
            Step::Wait(ms) => {
                advance(Duration::from_millis(ms)).await;
                model.now += Duration::from_millis(ms);
            }
            Step::ForceOpen => {
                breaker.force_open();
                model.start_over(State::ForcedOpen);
            }
            Step::ForceClosed => {
                breaker.force_closed();
                model.start_over(State::ForcedClosed);
            }
            Step::Reset => {
                breaker.reset();
                model.start_over(State::Closed);
            }
        }
        prop_assert_eq!(breaker.snapshot(), model.snapshot());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_does_what_the_model_does(config in config(), steps in vec(step(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(config, steps))?;
    }
}
