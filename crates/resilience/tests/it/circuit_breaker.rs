//! The breaker one promise at a time, on paused time; beside the one behind a mutex in
//! `by_mutex`, in its layer in `layer`.

mod by_mutex;
mod config;
mod half_open;
mod layer;
mod log;

use std::sync::Barrier;
use std::time::Duration;

use resilience::circuit_breaker::{CircuitBreaker, Config, Permit, State, StateChange, Window};
use resilience::classify::Outcome::{self, Failure, Ignored, Success};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

/// Opens at half of the last ten calls, but at least four, for one second; two probes.
fn config() -> Config {
    Config {
        window: Window::Calls(10),
        minimum_calls: 4,
        failure_rate_percent: 50,
        consecutive_failures: None,
        slow_call: None,
        open: SECOND,
        open_max: SECOND * 4,
        open_jitter_percent: 0,
        probes: 2,
        successes: 2,
    }
}

fn breaker(config: Config) -> CircuitBreaker {
    CircuitBreaker::new("dependency", config).unwrap()
}

fn call(breaker: &CircuitBreaker, outcome: Outcome) {
    breaker.acquire().unwrap().record(outcome);
}

fn calls<const N: usize>(breaker: &CircuitBreaker, outcomes: [Outcome; N]) -> State {
    for outcome in outcomes {
        call(breaker, outcome);
    }
    breaker.state()
}

fn opened() -> CircuitBreaker {
    let breaker = breaker(config());
    assert_eq!(calls(&breaker, [Failure; 4]), State::Open);
    breaker
}

async fn half_open() -> CircuitBreaker {
    let breaker = opened();
    advance(SECOND).await;
    breaker
}

fn retry_after(breaker: &CircuitBreaker) -> Option<Duration> {
    breaker.acquire().err().map(|rejected| rejected.retry_after)
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_failure_rate() {
    let breaker = breaker(config());
    assert_eq!(calls(&breaker, [Success; 5]), State::Closed);
    assert_eq!(calls(&breaker, [Failure; 4]), State::Closed);
    assert_eq!(calls(&breaker, [Failure]), State::Open);
    assert!(!breaker.is_available());
}

#[tokio::test(start_paused = true)]
async fn a_few_calls_say_nothing() {
    let breaker = breaker(config());
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    assert_eq!(calls(&breaker, [Failure]), State::Open);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_calls_count() {
    let breaker = breaker(config());
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    // They push the failures out, all but one.
    assert_eq!(calls(&breaker, [Success; 9]), State::Closed);
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.failures), (10, 1));
    assert_eq!(calls(&breaker, [Failure; 4]), State::Closed);
    assert_eq!(calls(&breaker, [Failure; 1]), State::Open);
}

#[tokio::test(start_paused = true)]
async fn calls_age_out_of_a_window_of_time() {
    let breaker = breaker(Config {
        window: Window::Time(SECOND * 10),
        ..config()
    });
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    advance(SECOND * 9).await;
    assert_eq!(breaker.snapshot().failures, 3);
    advance(SECOND).await;
    assert_eq!(breaker.snapshot().failures, 0);
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    assert_eq!(calls(&breaker, [Failure]), State::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_whatever_the_rate() {
    let breaker = breaker(Config {
        consecutive_failures: Some(3),
        failure_rate_percent: 100,
        ..config()
    });
    calls(&breaker, [Success; 10]);
    assert_eq!(calls(&breaker, [Failure, Failure, Success]), State::Closed);
    assert_eq!(calls(&breaker, [Failure, Failure, Ignored]), State::Closed);
    assert_eq!(calls(&breaker, [Failure]), State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_failures() {
    let breaker = breaker(Config {
        slow_call: Some(SECOND),
        ..config()
    });
    for _ in 0..4 {
        let permit = breaker.acquire().unwrap();
        advance(SECOND - Duration::from_millis(1)).await;
        permit.record(Success);
    }
    assert_eq!(breaker.snapshot().slow, 0);
    for _ in 0..4 {
        let permit = breaker.acquire().unwrap();
        advance(SECOND).await;
        permit.record(Success);
    }
    assert_eq!(breaker.state(), State::Open);
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.failures, seen.slow), (8, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_something_else_says_how_long_the_call_took() {
    let breaker = breaker(Config {
        slow_call: Some(SECOND),
        ..config()
    });
    let waited = breaker.acquire().unwrap();
    advance(SECOND * 10).await;
    waited.record_took(Success, SECOND / 2);
    assert_eq!(breaker.snapshot().slow, 0);
    breaker.acquire().unwrap().record_took(Success, SECOND);
    breaker.acquire().unwrap().record_took(Ignored, SECOND);
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.slow), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_ignored_or_dropped_is_not_counted() {
    let breaker = breaker(config());
    for _ in 0..100 {
        call(&breaker, Ignored);
        drop(breaker.acquire().unwrap());
    }
    assert_eq!(breaker.snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_says_when_to_come_back() {
    let breaker = opened();
    assert_eq!(retry_after(&breaker), Some(SECOND));
    advance(SECOND / 4).await;
    assert_eq!(retry_after(&breaker), Some(SECOND * 3 / 4));
    assert_eq!(breaker.snapshot().open_for, Some(SECOND * 3 / 4));
    advance(SECOND * 3 / 4).await;
    assert!(breaker.is_available());
    assert_eq!(breaker.snapshot().open_for, Some(Duration::ZERO));
    assert!(breaker.acquire().unwrap().is_probe());
}

#[tokio::test(start_paused = true)]
async fn each_opening_in_a_row_is_longer_up_to_a_limit() {
    let breaker = opened();
    for seconds in [1, 2, 4, 4, 4] {
        assert_eq!(retry_after(&breaker), Some(SECOND * seconds));
        advance(SECOND * seconds).await;
        call(&breaker, Failure);
    }
    advance(SECOND * 4).await;
    assert_eq!(calls(&breaker, [Success; 2]), State::Closed);
    // It was closed in between, so it starts over.
    assert_eq!(calls(&breaker, [Failure; 4]), State::Open);
    assert_eq!(retry_after(&breaker), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn openings_are_spread() {
    let open_for = || {
        let breaker = breaker(Config {
            open: SECOND * 10,
            open_max: SECOND * 10,
            open_jitter_percent: 20,
            ..config()
        });
        calls(&breaker, [Failure; 4]);
        retry_after(&breaker).unwrap()
    };
    let times: Vec<_> = (0..500).map(|_| open_for()).collect();
    let (shortest, longest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(
        *shortest >= SECOND * 8 && *shortest < SECOND * 9,
        "{shortest:?}"
    );
    assert!(
        *longest > SECOND * 9 && *longest <= SECOND * 10,
        "{longest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn late_results_are_not_counted() {
    let breaker = breaker(config());
    let late: Vec<Permit<CircuitBreaker>> =
        (0..8).map(|_| breaker.acquire_owned().unwrap()).collect();
    calls(&breaker, [Failure; 4]);
    let mut late = late.into_iter();
    let mut late_failures = || late.by_ref().take(2).for_each(|late| late.record(Failure));
    late_failures();
    assert_eq!(breaker.snapshot().calls, 4);

    advance(SECOND).await;
    let probe = breaker.acquire().unwrap();
    late_failures();
    assert_eq!(breaker.state(), State::HalfOpen);
    probe.record(Success);
    call(&breaker, Success);
    assert_eq!(breaker.state(), State::Closed);

    late_failures();
    assert_eq!(breaker.snapshot().calls, 0);
    breaker.force_closed();
    late_failures();
    assert_eq!(breaker.state(), State::ForcedClosed);
}

#[tokio::test(start_paused = true)]
async fn an_administrator_forces_and_resets() {
    let breaker = breaker(config());
    breaker.force_open();
    advance(SECOND * 1000).await;
    assert_eq!(retry_after(&breaker), Some(SECOND));
    assert!(!breaker.is_available());
    breaker.force_closed();
    assert_eq!(calls(&breaker, [Failure; 100]), State::ForcedClosed);
    assert_eq!(breaker.snapshot().calls, 0);
    breaker.reset();
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    breaker.reset();
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
    assert_eq!(calls(&breaker, [Failure]), State::Open);
    breaker.reset();
    assert_eq!(calls(&breaker, [Success]), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn changes_come_as_a_stream_and_rejections_as_a_number() {
    let breaker = breaker(config());
    let mut changes = breaker.subscribe();
    calls(&breaker, [Failure; 4]);
    assert_eq!(
        (retry_after(&breaker), retry_after(&breaker)),
        (Some(SECOND), Some(SECOND))
    );
    advance(SECOND).await;
    call(&breaker, Failure);
    advance(SECOND * 2).await;
    calls(&breaker, [Success; 2]);

    let steps = [
        (State::Closed, State::Open),
        (State::Open, State::HalfOpen),
        (State::HalfOpen, State::Open),
        (State::Open, State::HalfOpen),
        (State::HalfOpen, State::Closed),
    ];
    for ((from, to), generation) in steps.into_iter().zip(1..) {
        let change = StateChange {
            from,
            to,
            generation,
        };
        assert_eq!(changes.try_recv(), Ok(change));
    }
    assert_eq!(changes.try_recv(), Err(TryRecvError::Empty));
    let seen = breaker.snapshot();
    let totals = (seen.opened, seen.half_opened, seen.closed, seen.rejected);
    assert_eq!(totals, (2, 2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_what_it_missed() {
    let breaker = breaker(config());
    let mut changes = breaker.subscribe();
    for _ in 0..15 {
        breaker.force_open();
        breaker.reset();
    }
    assert_eq!(changes.try_recv(), Err(TryRecvError::Lagged(14)));
    assert_eq!(changes.try_recv().unwrap().generation, 15);
}

/// All threads at once, many times over; loom looks at the interleavings, this at the whole.
#[test]
fn threads_get_no_more_probes_than_allowed() {
    const THREADS: usize = 8;
    let config = Config {
        open: Duration::from_millis(1),
        open_max: Duration::from_millis(1),
        probes: 3,
        successes: 3,
        ..config()
    };
    for _ in 0..50 {
        let breaker = breaker(config.clone());
        calls(&breaker, [Failure; 4]);
        while !breaker.is_available() {
            std::thread::yield_now();
        }
        let barrier = Barrier::new(THREADS);
        let acquire = || {
            barrier.wait();
            breaker.acquire_owned().ok()
        };
        let probes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(acquire)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
            threads.into_iter().filter_map(join).collect()
        });
        assert_eq!(probes.len(), 3);
        let seen = breaker.snapshot();
        assert_eq!((seen.probes, seen.rejected, seen.half_opened), (3, 5, 1));
    }
}
