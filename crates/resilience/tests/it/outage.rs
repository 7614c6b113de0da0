//! What a dependency sees of an outage that its callers retry: little more than without retries, and no herd
//! when it is back. On paused time.

use parking_lot::Mutex;
use resilience::circuit_breaker::{self, CircuitBreaker, CircuitBreakerLayer};
use resilience::classify::ErrorsAreFailures;
use resilience::deadline::DeadlineLayer;
use resilience::retry::{Budget, BudgetConfig, Policy, RetryConfig, RetryLayer, Verdict};
use resilience::timeout::TimeoutLayer;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// Calls that begin in each second, evenly.
const RATE: u32 = 100;
const DEAD_FROM: u32 = 10;
const DEAD_UNTIL: u32 = 40;
/// An opening that begins just before the end of the outage is over by then, at the default's longest.
const IN_USE_FROM: u32 = DEAD_UNTIL + 61;
const SECONDS: u32 = IN_USE_FROM + 10;

#[derive(Debug, Clone, Copy)]
struct Down;

struct Repeat;

impl<E> Policy<(), (), E> for Repeat {
    fn copy(&self, (): &()) -> Option<()> {
        Some(())
    }

    fn judge(&self, (): &(), result: Result<&(), &E>) -> Verdict {
        match result {
            Ok(()) => Verdict::Final,
            Err(_) => Verdict::Retry { after: None },
        }
    }

    fn mark(&self, (): &mut (), _previous: u32) {}
}

/// The arrivals at a dependency, second by second.
#[derive(Clone)]
struct Dependency {
    start: Instant,
    arrivals: Arc<Mutex<Vec<u32>>>,
}

impl Dependency {
    fn answer(&self) -> Result<(), Down> {
        let second = self.start.elapsed().as_secs() as usize;
        self.arrivals.lock()[second] += 1;
        let dead = (DEAD_FROM as usize..DEAD_UNTIL as usize).contains(&second);
        if dead { Err(Down) } else { Ok(()) }
    }
}

/// Plays an outage of 30 s; answers the arrivals of each second.
async fn outage<S>(around: impl FnOnce(Dependency) -> S) -> Vec<u32>
where
    S: Service<(), Response = (), Future: Send> + Clone + Send + 'static,
    S::Error: Send,
{
    let start = Instant::now();
    let dependency = Dependency {
        start,
        arrivals: Arc::new(Mutex::new(vec![0; SECONDS as usize + 10])),
    };
    let arrivals = Arc::clone(&dependency.arrivals);
    let client = around(dependency);
    let mut calls = JoinSet::new();
    for call in 0..SECONDS * RATE {
        sleep_until(start + Duration::from_secs(1) * call / RATE).await;
        let client = client.clone();
        calls.spawn(async move { client.oneshot(()).await.is_ok() });
    }
    calls.join_all().await;
    let arrivals = arrivals.lock();
    arrivals.clone()
}

/// Calls of the dependency that are tried again, each attempt within a second.
fn attempts(
    dependency: Dependency,
) -> impl Service<(), Response = (), Error: Send, Future: Send> + Clone + Send + 'static {
    let budget = Budget::new(BudgetConfig::default()).expect("a valid configuration");
    let retry = RetryLayer::new(Repeat, RetryConfig::default(), budget);
    ServiceBuilder::new()
        .layer(retry.expect("a valid configuration"))
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .service(service_fn(move |()| {
            std::future::ready(dependency.answer())
        }))
}

#[tokio::test(start_paused = true)]
async fn a_dead_dependency_sees_a_fifth_more_calls_at_most_and_no_herd_when_it_is_back() {
    let arrivals = outage(|dependency| {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(5)))
            .service(attempts(dependency))
    })
    .await;
    let dead = while_dead(&arrivals);
    let calls = (DEAD_UNTIL - DEAD_FROM) * RATE;
    assert!(dead > calls, "some were retried: {arrivals:?}");
    assert!(
        dead * 10 <= calls * 12,
        "{dead} for {calls} calls: {arrivals:?}"
    );
    assert_no_herd(&arrivals);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_leaves_a_dead_dependency_alone_and_lets_no_herd_in() {
    let config = circuit_breaker::Config::default();
    let longest = u32::try_from(config.open_max.as_secs()).unwrap();
    assert!(DEAD_UNTIL + longest < IN_USE_FROM, "it has the time");
    let breaker = CircuitBreaker::new("dependency", config).unwrap();
    let arrivals = outage(|dependency| {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(5)))
            .layer(CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures))
            .service(attempts(dependency))
    })
    .await;
    let dead = while_dead(&arrivals);
    assert!(dead < RATE, "one second's worth in thirty: {arrivals:?}");
    assert_no_herd(&arrivals);
    assert_eq!(breaker.state(), circuit_breaker::State::Closed);
}

/// How many arrived during the outage.
fn while_dead(arrivals: &[u32]) -> u32 {
    arrivals[DEAD_FROM as usize..DEAD_UNTIL as usize]
        .iter()
        .sum()
}

/// After the outage no second has more than a fifth more arrivals than there are calls.
fn assert_no_herd(arrivals: &[u32]) {
    let after = &arrivals[DEAD_UNTIL as usize..];
    let most = after.iter().max().copied().unwrap_or_default();
    assert!(most * 10 <= RATE * 12, "{most} in one second: {after:?}");
    let last = &arrivals[IN_USE_FROM as usize..SECONDS as usize];
    let all = last.iter().all(|&arrived| arrived >= RATE);
    assert!(all, "it is in use again: {after:?}");
}
