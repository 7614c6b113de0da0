//! A process with 50 workers calls two dependencies. One of them slows, hangs and comes back. What becomes of the
//! calls to the other one?
//!
//! ```sh
//! cargo run -p resilience --example bulkhead
//! ```
//!
//! Time is simulated, so it is over at once and prints the same on every machine.
#![allow(clippy::print_stdout, reason = "the time line")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience::ConfigError;
use resilience::bulkhead::{AdaptiveConfig, Bulkhead, BulkheadLayer, Config, Limit};
use resilience::timeout::TimeoutLayer;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

const SECONDS: usize = 9;
const WORKERS: usize = 50;
/// Between two calls to each dependency: 100 a second.
const BETWEEN: Duration = Duration::from_millis(10);

type Dependency = BoxCloneService<(), (), String>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ConfigError> {
    println!("100 calls a second to orders, 100 to products, {WORKERS} workers for both.");
    play("without a bulkhead", bounded(orders()), None).await;

    // region: build
    let bulkhead = Bulkhead::new(Config {
        max_in_flight: Limit::Fixed(10),
        max_waiting: 10,
        max_wait: Duration::from_millis(100),
    })?;
    let orders_fixed = BulkheadLayer::new(bulkhead.clone()).layer(bounded(orders()));
    // endregion: build
    let dependency = orders_fixed
        .map_err(|error| error.to_string())
        .boxed_clone();
    play("with 10 places for orders", dependency, Some(&bulkhead)).await;

    // region: adaptive
    let bulkhead = Bulkhead::new(Config {
        max_in_flight: Limit::Adaptive(AdaptiveConfig {
            latency_target: Duration::from_millis(100),
            ..AdaptiveConfig::default()
        }),
        ..Config::default()
    })?;
    let orders_adaptive = BulkheadLayer::new(bulkhead.clone()).layer(bounded(orders()));
    // endregion: adaptive
    let dependency = orders_adaptive
        .map_err(|error| error.to_string())
        .boxed_clone();
    play("with a limit that adapts", dependency, Some(&bulkhead)).await;
    Ok(())
}

/// Answers after 10 ms; from the second 2 on after a whole one, from 4 on never; from 6 on all is well again.
fn orders() -> Dependency {
    let began = Instant::now();
    service_fn(move |()| async move {
        sleep(match began.elapsed().as_secs() {
            2..4 => Duration::from_secs(1),
            4..6 => Duration::from_secs(3600),
            _ => Duration::from_millis(10),
        })
        .await;
        Ok::<_, Infallible>(())
    })
    .map_err(|error| error.to_string())
    .boxed_clone()
}

fn products() -> Dependency {
    service_fn(|()| async {
        sleep(Duration::from_millis(10)).await;
        Ok::<_, Infallible>(())
    })
    .map_err(|error| error.to_string())
    .boxed_clone()
}

/// No attempt takes longer than 2 s, with a bulkhead or without.
fn bounded(dependency: Dependency) -> Dependency {
    TimeoutLayer::new(Duration::from_secs(2))
        .layer(dependency)
        .map_err(|error| error.to_string())
        .boxed_clone()
}

/// The calls that were answered or given up in one second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    orders_answered: u32,
    orders_failed: u32,
    products_answered: u32,
    products_slowest: Duration,
}

async fn play(title: &str, orders: Dependency, bulkhead: Option<&Bulkhead>) {
    println!("\n{title}");
    println!("          orders                      products              workers  places");
    println!("second    does      answered failed   answered slowest      busy     taken/limit");
    let began = Instant::now();
    let seconds = Arc::new(Mutex::new([Second::default(); SECONDS]));
    let workers = Arc::new(Semaphore::new(WORKERS));
    let products = products();
    for second in 0..SECONDS {
        while began.elapsed() < Duration::from_secs(second as u64 + 1) {
            for (dependency, is_orders) in [(&orders, true), (&products, false)] {
                let (workers, seconds) = (Arc::clone(&workers), Arc::clone(&seconds));
                let dependency = dependency.clone();
                tokio::spawn(async move {
                    let came = Instant::now();
                    let Ok(_worker) = workers.acquire().await else {
                        return;
                    };
                    let answer = dependency.oneshot(()).await;
                    let at = began.elapsed().as_secs() as usize;
                    if let Some(second) = seconds.lock().get_mut(at) {
                        second.count(is_orders, answer.is_ok(), came.elapsed());
                    }
                });
            }
            sleep(BETWEEN).await;
        }
        let busy = WORKERS - workers.available_permits();
        print_second(second, &seconds.lock()[second], busy, bulkhead);
    }
}

impl Second {
    fn count(&mut self, is_orders: bool, answered: bool, took: Duration) {
        match (is_orders, answered) {
            (true, true) => self.orders_answered += 1,
            (true, false) => self.orders_failed += 1,
            (false, _) => {
                self.products_answered += 1;
                self.products_slowest = self.products_slowest.max(took);
            }
        }
    }
}

fn print_second(second: usize, now: &Second, busy: usize, bulkhead: Option<&Bulkhead>) {
    let does = match second {
        2..4 => "slow",
        4..6 => "hangs",
        _ => "well",
    };
    let places = bulkhead.map_or_else(
        || "-".to_owned(),
        |bulkhead| {
            let now = bulkhead.snapshot();
            format!("{}/{}", now.in_flight, now.limit)
        },
    );
    println!(
        "{second:>6}    {does:<6} {:>11} {:>6} {:>10} {:>7} ms {:>9}     {places}",
        now.orders_answered,
        now.orders_failed,
        now.products_answered,
        now.products_slowest.as_millis(),
        busy,
    );
}
