//! A dependency that slows, dies and comes back, seen by callers without and with a circuit breaker.
//!
//! ```sh
//! cargo run -p resilience --example breaker
//! ```
//!
//! Time is simulated, so it is over at once and prints the same on every machine.
#![allow(clippy::print_stdout, reason = "the time line")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience::ConfigError;
use resilience::circuit_breaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, Config, Rejected, Window,
};
use resilience::classify::ErrorsAreFailures;
use resilience::timeout::{TimeoutError, TimeoutLayer};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

const SECONDS: usize = 11;
/// Between two calls: 20 a second.
const BETWEEN: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(500);

type Failure = CircuitBreakerError<TimeoutError<&'static str>>;
type Dependency = BoxCloneService<(), (), Failure>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ConfigError> {
    println!("20 calls a second to orders, each given up after {TIMEOUT:?}.");
    let arrived = Arrived::default();
    let dependency = TimeoutLayer::new(TIMEOUT).layer(orders(&arrived));
    let dependency = dependency.map_err(CircuitBreakerError::Inner);
    play(
        "without a breaker",
        dependency.boxed_clone(),
        &arrived,
        None,
    )
    .await;

    let arrived = Arrived::default();
    let orders = orders(&arrived);
    // region: build
    let breaker = CircuitBreaker::new(
        "orders",
        Config {
            window: Window::Time(Duration::from_secs(2)),
            minimum_calls: 10,
            failure_rate_percent: 50,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(2),
            open_jitter_percent: 0, // only so that this prints the same each time
            probes: 1,
            successes: 2,
            ..Config::default()
        },
    )?;
    let dependency = CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures)
        .layer(TimeoutLayer::new(TIMEOUT).layer(orders));
    // endregion: build
    let dependency = dependency.boxed_clone();
    play("with a breaker", dependency, &arrived, Some(&breaker)).await;
    by_hand(&breaker).await;
    Ok(())
}

/// A breaker without its layer.
async fn by_hand(breaker: &CircuitBreaker) {
    // region: by-hand
    match breaker.acquire() {
        Err(Rejected { retry_after }) => println!("\nno call for {retry_after:?}"),
        Ok(permit) => {
            let answer = fetch().await;
            permit.record_result(&ErrorsAreFailures, &answer);
        }
    }
    // endregion: by-hand
}

async fn fetch() -> Result<(), &'static str> {
    Ok(())
}

/// When calls came to the dependency itself.
type Arrived = Arc<Mutex<[u32; SECONDS]>>;

/// Answers after 10 ms; from second 2 on after two whole ones; from 4 on nobody is there; from 7 on all is well again.
fn orders(arrived: &Arrived) -> BoxCloneService<(), (), &'static str> {
    let began = Instant::now();
    let arrived = Arc::clone(arrived);
    let orders = service_fn(move |()| {
        let second = began.elapsed().as_secs() as usize;
        let mut arrived = arrived.lock();
        if let Some(arrived) = arrived.get_mut(second) {
            *arrived += 1;
        }
        async move {
            match second {
                2..4 => sleep(Duration::from_secs(2)).await,
                4..7 => return Err("connection refused"),
                _ => sleep(Duration::from_millis(10)).await,
            }
            Ok(())
        }
    });
    orders.boxed_clone()
}

/// What the callers of one second got.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    answered: u32,
    failed: u32,
    refused: u32,
    slowest: Duration,
}

async fn play(
    title: &str,
    dependency: Dependency,
    arrived: &Arrived,
    breaker: Option<&CircuitBreaker>,
) {
    println!("\n{title}");
    println!("          orders   callers                              orders");
    println!("second    is       answered failed refused slowest      was asked  breaker");
    let began = Instant::now();
    let seconds = Arc::new(Mutex::new([Second::default(); SECONDS]));
    let mut states = [""; SECONDS];
    for (second, state) in states.iter_mut().enumerate() {
        while began.elapsed() < Duration::from_secs(second as u64 + 1) {
            tokio::spawn(call(dependency.clone(), second, Arc::clone(&seconds)));
            sleep(BETWEEN).await;
        }
        *state = breaker.map_or("", |breaker| breaker.state().as_str());
    }
    // The last calls' answers.
    sleep(TIMEOUT).await;
    let seconds = *seconds.lock();
    let arrived = *arrived.lock();
    for (second, now) in seconds.iter().enumerate() {
        let is = match second {
            2..4 => "slow",
            4..7 => "dead",
            _ => "well",
        };
        println!(
            "{second:>6}    {is:<7} {:>9} {:>6} {:>7} {:>4} ms {:>14}  {}",
            now.answered,
            now.failed,
            now.refused,
            now.slowest.as_millis(),
            arrived[second],
            states[second],
        );
    }
}

async fn call(dependency: Dependency, second: usize, seconds: Arc<Mutex<[Second; SECONDS]>>) {
    let began = Instant::now();
    let answer = dependency.oneshot(()).await;
    let mut seconds = seconds.lock();
    let now = &mut seconds[second];
    match answer {
        Ok(()) => now.answered += 1,
        Err(CircuitBreakerError::Open { .. }) => now.refused += 1,
        Err(CircuitBreakerError::Inner(_)) => now.failed += 1,
    }
    now.slowest = now.slowest.max(began.elapsed());
}
