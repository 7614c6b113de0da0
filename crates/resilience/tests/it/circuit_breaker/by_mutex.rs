//! The breaker beside the readable one behind a mutex: whatever is done to both, they show the same.

#[path = "../../../examples/breaker_by_mutex.rs"]
mod breaker_by_mutex;

use std::time::Duration;

use breaker_by_mutex::Breaker;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use resilience::circuit_breaker::{CircuitBreaker, Config, Snapshot, State, Window};
use resilience::classify::Outcome;
use tokio::time::advance;

const MS: Duration = Duration::from_millis(1);

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

/// Changes of state, by the state that they led to: opened, half-opened, closed.
#[derive(Default)]
struct Totals([u64; 3]);

impl Totals {
    fn count(&mut self, from: State, to: State) {
        let index = match to {
            _ if from == to => return,
            State::Open | State::ForcedOpen => 0,
            State::HalfOpen => 1,
            State::Closed | State::ForcedClosed => 2,
        };
        self.0[index] += 1;
    }
}

async fn compare(config: Config, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = CircuitBreaker::new("", config.clone()).unwrap();
    let simple = Breaker::new(config);
    let mut permits = Vec::new();
    let mut state = State::Closed;
    let (mut totals, mut rejected) = (Totals::default(), 0);
    for step in steps {
        match step {
            Step::Acquire => {
                let other = simple.acquire();
                prop_assert_eq!(breaker.is_available(), other.is_some());
                let permit = breaker.acquire().ok();
                prop_assert_eq!(permit.is_some(), other.is_some());
                rejected += u64::from(other.is_none());
                permits.extend(permit.zip(other));
            }
            Step::Finish(index, outcome) if index < permits.len() => {
                let (permit, other) = permits.remove(index);
                permit.record(outcome);
                simple.record(other, outcome);
            }
            Step::Cancel(index) if index < permits.len() => {
                let (permit, other) = permits.remove(index);
                drop(permit);
                simple.record(other, Outcome::Ignored);
            }
            Step::Finish(..) | Step::Cancel(_) => {}
            Step::Wait(ms) => advance(Duration::from_millis(ms)).await,
            Step::ForceOpen => {
                breaker.force_open();
                simple.force_open();
            }
            Step::ForceClosed => {
                breaker.force_closed();
                simple.force_closed();
            }
            Step::Reset => {
                breaker.reset();
                simple.reset();
            }
        }
        let expected = simple.snapshot();
        totals.count(state, expected.state);
        state = expected.state;
        let [opened, half_opened, closed] = totals.0;
        let expected = Snapshot {
            opened,
            half_opened,
            closed,
            rejected,
            ..expected
        };
        prop_assert_eq!(breaker.snapshot(), expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_does_what_the_one_behind_a_mutex_does(config in config(), steps in vec(step(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(config, steps))?;
    }
}
