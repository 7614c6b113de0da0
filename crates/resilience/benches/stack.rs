//! What timeout, retry, circuit breaker and bulkhead together cost a call that is answered at once.
//!
//! ```text
//! cargo bench -p resilience --bench stack
//! ```
//!
//! The same stack, from the outside: bulkhead, circuit breaker, retry with a budget, timeout of one attempt. The
//! inner service does nothing and every call succeeds, so what is measured is the layers. `alone` is one thread;
//! `contended` is a thread for each core, all through one stack without a pause, and the figure is the time that one
//! call takes in one of them. `nothing` is the loop by itself.
//!
//! What differs: tower-resilience retries without a budget unless told otherwise, so it is there both ways. tower
//! has no circuit breaker, so its stack is one layer less; its retry does not wait between attempts, and its
//! concurrency limit has no bound for those who wait.

mod cores;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cores::on_all_cores;
use criterion::{Criterion, criterion_group, criterion_main};
use resilience::bulkhead::{self, Bulkhead, BulkheadLayer};
use resilience::circuit_breaker::{self, CircuitBreaker, CircuitBreakerLayer, Window};
use resilience::classify::ErrorsAreFailures;
use resilience::retry::{Budget, BudgetConfig, Policy, RetryConfig, RetryLayer, Verdict};
use resilience::timeout::TimeoutLayer;
use tokio::runtime::Builder;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience::{
    bulkhead as peer_bulkhead, circuitbreaker as peer_breaker, retry as peer_retry,
    timelimiter as peer_timeout,
};

const PLACES: usize = 64;
const MAX_WAIT: Duration = Duration::from_millis(100);
const WINDOW: u32 = 100;
const MINIMUM: u32 = 20;
const OPEN: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(25);
const BUDGET: BudgetConfig = BudgetConfig {
    percent: 10,
    min_per_second: 1,
    ttl: Duration::from_secs(10),
};
const TIMEOUT: Duration = Duration::from_secs(1);

/// What is measured: calls that can go on from any thread.
trait Calls: Service<u64, Response = u64, Error: std::fmt::Debug> + Clone + Send + Sync {}
impl<S> Calls for S where
    S: Service<u64, Response = u64, Error: std::fmt::Debug> + Clone + Send + Sync
{
}

fn inner() -> impl Calls<Error = Infallible, Future: Send> + Copy + 'static {
    service_fn(|n| ready(Ok(black_box(n))))
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

fn ours() -> impl Calls {
    let bulkhead = Bulkhead::new(bulkhead::Config {
        max_in_flight: bulkhead::Limit::Fixed(PLACES),
        max_waiting: PLACES,
        max_wait: MAX_WAIT,
    });
    let breaker = circuit_breaker::Config {
        window: Window::Calls(WINDOW),
        minimum_calls: MINIMUM,
        failure_rate_percent: 50,
        open: OPEN,
        ..circuit_breaker::Config::default()
    };
    let breaker = CircuitBreaker::new("bench", breaker).expect("valid");
    let retry = RetryConfig {
        max_attempts: ATTEMPTS,
        backoff_base: BACKOFF,
        ..RetryConfig::default()
    };
    let budget = Budget::new(BUDGET).expect("valid");
    ServiceBuilder::new()
        .layer(BulkheadLayer::new(bulkhead.expect("valid")))
        .layer(CircuitBreakerLayer::new(breaker, ErrorsAreFailures))
        .layer(RetryLayer::new(Repeat, retry, budget).expect("valid"))
        .layer(TimeoutLayer::new(TIMEOUT))
        .service(inner())
}

fn peers(budget: Option<Arc<dyn peer_retry::RetryBudget>>) -> impl Calls {
    let bulkhead = peer_bulkhead::BulkheadLayer::builder()
        .max_concurrent_calls(PLACES)
        .max_wait_duration(MAX_WAIT)
        .build();
    let breaker = peer_breaker::CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(WINDOW as usize)
        .minimum_number_of_calls(MINIMUM as usize)
        .wait_duration_in_open(OPEN)
        .build();
    let retry = peer_retry::RetryLayer::<u64, u64, _>::builder()
        .max_attempts(ATTEMPTS as usize)
        .exponential_backoff(BACKOFF);
    let retry = match budget {
        Some(budget) => retry.budget(budget),
        None => retry,
    };
    let timeout = peer_timeout::TimeLimiterLayer::builder()
        .timeout_duration(TIMEOUT)
        .build();
    ServiceBuilder::new()
        .layer(bulkhead.expect("valid"))
        .layer(breaker.expect("valid"))
        .layer(retry.build())
        .layer(timeout)
        .service(inner())
}

/// There a success pays for a whole retry and not for a tenth of one, which is no difference in what it costs.
fn peers_budget() -> Arc<dyn peer_retry::RetryBudget> {
    let bucket = peer_retry::RetryBudgetBuilder::new().token_bucket();
    let free = f64::from(BUDGET.min_per_second);
    bucket.tokens_per_second(free).build().expect("valid")
}

#[derive(Clone)]
struct TowersRepeat {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl<E> tower::retry::Policy<u64, u64, E> for TowersRepeat {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

fn towers() -> impl Calls {
    let share = BUDGET.percent as f32 / 100.0;
    let policy = TowersRepeat {
        budget: Arc::new(TpsBudget::new(BUDGET.ttl, BUDGET.min_per_second, share)),
        left: ATTEMPTS - 1,
    };
    ServiceBuilder::new()
        .concurrency_limit(PLACES)
        .retry(policy)
        .timeout(TIMEOUT)
        .service(inner())
}

fn call_all(mut service: impl Calls, calls: u64) {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        for n in 0..calls {
            let service = service.ready().await.expect("ready");
            let answer = service.call(n).await.expect("success");
            assert_eq!(answer, n);
        }
    });
}

fn measure(c: &mut Criterion, name: &str, service: &impl Calls) {
    let work = |calls| call_all(service.clone(), calls);
    c.bench_function(&format!("alone/{name}"), |b| {
        b.iter_custom(|calls| {
            let start = Instant::now();
            work(calls);
            start.elapsed()
        });
    });
    c.bench_function(&format!("contended/{name}"), |b| {
        b.iter_custom(|calls| on_all_cores(calls, &work));
    });
}

fn stacks(c: &mut Criterion) {
    measure(c, "nothing", &inner());
    measure(c, "ours", &ours());
    measure(c, "tower-resilience", &peers(Some(peers_budget())));
    measure(c, "tower-resilience, no budget", &peers(None));
    measure(c, "tower, no breaker", &towers());
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = quick();
    targets = stacks
}
criterion_main!(benches);
