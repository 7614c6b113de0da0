//! The breaker around a tower service.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{SECOND, calls, config, half_open, opened};
use resilience::circuit_breaker::{
    CircuitBreak, CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, State,
};
use resilience::classify::ErrorsAreFailures;
use resilience::classify::Outcome::Failure;

type Error = CircuitBreakerError<&'static str>;

/// A service that takes a second and answers with its request.
fn slow(
    breaker: &CircuitBreaker,
) -> impl Service<Result<u32, &'static str>, Response = u32, Error = Error> + Clone {
    let service = service_fn(|request: Result<u32, &'static str>| async move {
        sleep(SECOND).await;
        request
    });
    CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures).layer(service)
}

#[tokio::test(start_paused = true)]
async fn answers_and_errors_pass_and_are_counted() {
    let breaker = super::breaker(config());
    assert_eq!(slow(&breaker).oneshot(Ok(42)).await, Ok(42));
    let broken = slow(&breaker).oneshot(Err("broken")).await;
    assert_eq!(broken, Err(CircuitBreakerError::Inner("broken")));
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.failures), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_at_once_and_asks_nobody() {
    let asked = AtomicU32::new(0);
    let service = service_fn(|()| {
        asked.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, &str>(()) }
    });
    let answer = CircuitBreak::new(service, opened(), ErrorsAreFailures)
        .oneshot(())
        .await;
    let retry_after = SECOND;
    assert_eq!(answer, Err(CircuitBreakerError::Open { retry_after }));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_breaker() {
    let breaker = super::breaker(config());
    let service = slow(&breaker);
    for _ in 0..4 {
        let _ = service.clone().oneshot(Err("broken")).await;
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_closes_it() {
    let breaker = half_open().await;
    for _ in 0..2 {
        assert_eq!(slow(&breaker).oneshot(Ok(1)).await, Ok(1));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_its_probe_back() {
    let breaker = half_open().await;
    let mut service = slow(&breaker);
    for polled in [false, true] {
        let mut call = Box::pin(service.ready().await.unwrap().call(Ok(1)));
        if polled {
            let first = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(first.is_pending());
        }
        assert_eq!(breaker.snapshot().probes, 1);
        drop(call);
        assert_eq!(breaker.snapshot().probes, 0);
    }
    // A future that has answered but is still held holds no probe either.
    let mut call = Box::pin(service.ready().await.unwrap().call(Ok(1)));
    assert_eq!(call.as_mut().await, Ok(1));
    assert_eq!(breaker.snapshot().probes, 0);
}

#[tokio::test(start_paused = true)]
async fn being_ready_takes_no_probe() {
    let breaker = half_open().await;
    let mut ready: Vec<_> = (0..10).map(|_| slow(&breaker)).collect();
    for service in &mut ready {
        service.ready().await.unwrap();
    }
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.acquire().unwrap().is_probe());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_dependency_under_a_timeout_opens_it() {
    let breaker = super::breaker(config());
    let hangs = service_fn(|()| std::future::pending::<Result<(), &str>>());
    let service = tower::ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures))
        .layer(resilience::timeout::TimeoutLayer::new(SECOND))
        .service(hangs);
    for _ in 0..4 {
        assert!(service.clone().oneshot(()).await.is_err());
    }
    let start = tokio::time::Instant::now();
    assert!(service.oneshot(()).await.is_err());
    assert_eq!(start.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn errors_speak_for_themselves() {
    let breaker = super::breaker(config());
    calls(&breaker, [Failure; 4]);
    advance(SECOND / 2).await;
    let answer = slow(&breaker).oneshot(Ok(1)).await;
    let text = answer.unwrap_err().to_string();
    assert_eq!(text, "the circuit breaker is open; try again in 500ms");
    let inner = CircuitBreakerError::Inner("broken");
    assert_eq!(inner.to_string(), "broken");
}
