//! No layer allocates for a call that goes well: not when the answer is there at once, and not when it is waited for.
//!
//! A test target of its own, since the allocator that counts is the whole process's. It counts for each thread by
//! itself, and each test runs its calls on its own thread only, so the harness and the other tests do not disturb.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience::balance::{Balance, BalanceConfig, RetryElsewhereLayer};
use resilience::bulkhead::{self, AdaptiveConfig, Bulkhead, BulkheadLayer, Limit};
use resilience::circuit_breaker::{self, CircuitBreaker, CircuitBreakerLayer, Window};
use resilience::classify::ErrorsAreFailures;
use resilience::deadline::DeadlineLayer;
use resilience::fault::{FaultLayer, Faults};
use resilience::load_shed::{self, LoadShed, LoadShedLayer};
use resilience::retry::{Budget, BudgetConfig, Policy, RetryConfig, RetryLayer, Verdict};
use resilience::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const CALLS: u64 = 1_000;
/// Longer than any run of this test, since it runs on real time.
const LONG: Duration = Duration::from_secs(600);

/// Answers at once, or when it is asked a second time.
#[derive(Debug, Clone, Copy)]
struct Dependency {
    waits: bool,
}

impl Service<u64> for Dependency {
    type Response = u64;
    type Error = fmt::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), fmt::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Answer {
        Answer {
            n,
            waits: self.waits,
        }
    }
}

struct Answer {
    n: u64,
    waits: bool,
}

impl Future for Answer {
    type Output = Result<u64, fmt::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.n))
    }
}

async fn call_often<S>(service: &mut S)
where
    S: Service<u64, Response = u64, Error: fmt::Debug>,
{
    for n in 0..CALLS {
        let service = service.ready().await.expect("ready");
        assert_eq!(service.call(n).await.expect("success"), n);
    }
}

/// The allocations of so many calls, once all that is made at the first one (thread locals, for one) is there.
fn allocations<S>(mut service: S) -> u64
where
    S: Service<u64, Response = u64, Error: fmt::Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(call_often(&mut service));
    let counted = allocation_counter::measure(|| runtime.block_on(call_often(&mut service)));
    counted.count_total
}

fn assert_none<S>(stack: impl Fn(Dependency) -> S)
where
    S: Service<u64, Response = u64, Error: fmt::Debug>,
{
    for waits in [false, true] {
        let counted = allocations(stack(Dependency { waits }));
        assert_eq!(counted, 0, "in {CALLS} calls, waits: {waits}");
    }
}

struct Repeat;

impl<E> Policy<u64, u64, E> for Repeat {
    fn copy(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn judge(&self, _: &u64, result: Result<&u64, &E>) -> Verdict {
        match result {
            Ok(_) => Verdict::Final,
            Err(_) => Verdict::Retry { after: None },
        }
    }

    fn mark(&self, _: &mut u64, _: u32) {}
}

fn retry() -> RetryLayer<Repeat> {
    let budget = Budget::new(BudgetConfig::default()).expect("valid");
    RetryLayer::new(Repeat, RetryConfig::default(), budget).expect("valid")
}

fn breaker(config: circuit_breaker::Config) -> CircuitBreakerLayer<ErrorsAreFailures> {
    CircuitBreakerLayer::new(
        CircuitBreaker::new("test", config).expect("valid"),
        ErrorsAreFailures,
    )
}

fn bulkhead(max_in_flight: Limit) -> BulkheadLayer {
    let config = bulkhead::Config {
        max_in_flight,
        ..bulkhead::Config::default()
    };
    BulkheadLayer::new(Bulkhead::new(config).expect("valid"))
}

fn load_shed() -> LoadShedLayer {
    LoadShedLayer::new(LoadShed::new(load_shed::Config::default()).expect("valid"))
}

fn fault() -> FaultLayer<fn() -> Result<u64, fmt::Error>> {
    FaultLayer::new(Faults::new(), "test", || Err(fmt::Error))
}

fn balance<S>(make: impl Fn() -> S) -> Balance<u32, S> {
    let config = BalanceConfig::default();
    let balance = Balance::new("endpoints", &config, ErrorsAreFailures).expect("valid");
    balance.endpoints().update((0..3).map(|key| (key, make())));
    balance
}

/// Else all that follows proves nothing.
#[test]
fn what_is_boxed_is_counted() {
    let boxed = |n: u64| -> Pin<Box<dyn Future<Output = Result<u64, fmt::Error>>>> {
        Box::pin(ready(Ok(n)))
    };
    assert_eq!(allocations(service_fn(boxed)), CALLS);
}

#[test]
fn timeout_allocates_nothing() {
    assert_none(|inner| TimeoutLayer::new(LONG).layer(inner));
}

#[test]
fn deadline_allocates_nothing() {
    assert_none(|inner| DeadlineLayer::new(LONG).layer(inner));
}

#[test]
fn retry_allocates_nothing() {
    assert_none(|inner| retry().layer(inner));
}

#[test]
fn circuit_breaker_allocates_nothing() {
    let calls = circuit_breaker::Config {
        window: Window::Calls(100),
        ..circuit_breaker::Config::default()
    };
    let time_and_slow_calls = circuit_breaker::Config {
        window: Window::Time(Duration::from_secs(10)),
        slow_call: Some(LONG),
        ..circuit_breaker::Config::default()
    };
    for config in [calls, time_and_slow_calls] {
        assert_none(|inner| breaker(config.clone()).layer(inner));
    }
}

#[test]
fn bulkhead_allocates_nothing() {
    let adaptive = AdaptiveConfig {
        latency_target: LONG,
        ..AdaptiveConfig::default()
    };
    for limit in [Limit::Fixed(8), Limit::Adaptive(adaptive)] {
        assert_none(|inner| bulkhead(limit.clone()).layer(inner));
    }
}

#[test]
fn load_shed_allocates_nothing() {
    assert_none(|inner| load_shed().layer(inner));
}

#[test]
fn fault_that_is_off_allocates_nothing() {
    assert_none(|inner| fault().layer(inner));
}

#[test]
fn balance_allocates_nothing() {
    assert_none(|inner| balance(|| inner));
}

#[test]
fn all_of_them_stacked_allocate_nothing() {
    assert_none(|inner| {
        ServiceBuilder::new()
            .layer(load_shed())
            .layer(DeadlineLayer::new(LONG))
            .layer(bulkhead(Limit::Fixed(8)))
            .layer(breaker(circuit_breaker::Config::default()))
            .layer(RetryElsewhereLayer)
            .layer(retry())
            .layer(TimeoutLayer::new(LONG))
            .service(balance(|| fault().layer(inner)))
    });
}
