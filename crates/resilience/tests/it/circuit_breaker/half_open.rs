//! Probes: how many are let through, and what each result does.

use super::*;

#[tokio::test(start_paused = true)]
async fn half_open_lets_the_probes_through_and_no_more() {
    let breaker = half_open().await;
    let one = breaker.acquire().unwrap();
    let two = breaker.acquire().unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().probes, 2);
    assert!(breaker.acquire().is_err() && !breaker.is_available());
    // One succeeded, one is on its way, two are needed: nothing for a third to find out.
    one.record(Success);
    assert!(breaker.acquire().is_err());
    two.record(Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_however_many_must_succeed() {
    let breaker = breaker(Config {
        probes: 1,
        successes: 3,
        ..config()
    });
    calls(&breaker, [Failure; 4]);
    advance(SECOND).await;
    for _ in 0..3 {
        assert_ne!(breaker.state(), State::Closed);
        let probe = breaker.acquire().unwrap();
        assert!(breaker.acquire().is_err());
        probe.record(Success);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_again() {
    let breaker = half_open().await;
    let one = breaker.acquire().unwrap();
    let two = breaker.acquire().unwrap();
    one.record(Failure);
    assert_eq!(breaker.state(), State::Open);
    two.record(Success);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_is_a_failed_one() {
    let breaker = breaker(Config {
        slow_call: Some(SECOND),
        ..config()
    });
    calls(&breaker, [Failure; 4]);
    advance(SECOND).await;
    let probe = breaker.acquire().unwrap();
    advance(SECOND).await;
    probe.record(Success);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_cancelled_gives_its_place_back() {
    let breaker = half_open().await;
    for _ in 0..100 {
        drop([breaker.acquire().unwrap(), breaker.acquire().unwrap()]);
        call(&breaker, Ignored);
    }
    assert_eq!(breaker.snapshot().probes, 0);
    assert_eq!(calls(&breaker, [Success; 2]), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn it_closes_with_an_empty_window() {
    let breaker = half_open().await;
    calls(&breaker, [Success; 2]);
    let seen = breaker.snapshot();
    assert_eq!(
        (seen.calls, seen.failures, seen.consecutive_failures),
        (0, 0, 0)
    );
    assert_eq!(calls(&breaker, [Failure; 3]), State::Closed);
}
