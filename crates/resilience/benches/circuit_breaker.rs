//! What a closed breaker costs a call, beside the crates that do the same.
//!
//! ```text
//! cargo bench -p resilience --bench circuit_breaker
//! ```
//!
//! The call itself does nothing, so what is measured is the breaker: letting in, running, recording. `alone` is one
//! thread; `contended` is a thread for each core, all calling through the same breaker without a pause, and the
//! figure is the time that one call takes in one of them. In `healthy` every call succeeds; in `failing` every tenth
//! fails, and all breakers are set to bear that: half of 100 calls, or 10 in a row.

mod cores;

use std::hint::black_box;
use std::time::{Duration, Instant};

use cores::on_all_cores;
use criterion::{Criterion, criterion_group, criterion_main};
use failsafe::{backoff, failure_policy};
use recloser::Recloser;
use resilience::circuit_breaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, Config, Window,
};
use resilience::classify::ErrorsAreFailures;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience::circuitbreaker as peer;

const WINDOW: u32 = 100;
const MINIMUM: u32 = 20;
const IN_A_ROW: u32 = 10;
const OPEN: Duration = Duration::from_secs(60);

/// How the dependency does: of so many calls one fails.
#[derive(Clone, Copy)]
enum Mix {
    Healthy,
    Failing,
}

impl Mix {
    fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Failing => "failing",
        }
    }

    fn call(self, n: u64) -> Result<u64, u64> {
        match self {
            Self::Failing if n % 10 == 9 => black_box(Err(n)),
            _ => black_box(Ok(n)),
        }
    }
}

/// Measures `work`, which makes so many calls, alone and contended.
fn measure(c: &mut Criterion, mix: Mix, name: &str, work: impl Fn(u64) + Sync) {
    let mut group = c.benchmark_group(format!("alone/{}", mix.name()));
    group.bench_function(name, |b| {
        b.iter_custom(|calls| {
            let start = Instant::now();
            work(calls);
            start.elapsed()
        });
    });
    group.finish();
    let mut group = c.benchmark_group(format!("contended/{}", mix.name()));
    group.bench_function(name, |b| b.iter_custom(|calls| on_all_cores(calls, &work)));
    group.finish();
}

fn config(window: Window) -> Config {
    Config {
        window,
        minimum_calls: MINIMUM,
        failure_rate_percent: 50,
        consecutive_failures: Some(IN_A_ROW),
        open: OPEN,
        open_max: OPEN,
        ..Config::default()
    }
}

fn breaker(window: Window) -> CircuitBreaker {
    CircuitBreaker::new("bench", config(window)).expect("valid")
}

fn handles(c: &mut Criterion) {
    for mix in [Mix::Healthy, Mix::Failing] {
        let windows = [
            ("ours, last 100 calls", Window::Calls(WINDOW)),
            ("ours, last 10 s", Window::Time(Duration::from_secs(10))),
        ];
        for (name, window) in windows {
            let breaker = breaker(window);
            measure(c, mix, name, |calls| {
                for n in 0..calls {
                    let permit = breaker.acquire().expect("closed");
                    permit.record_result(&ErrorsAreFailures, &mix.call(n));
                }
            });
        }

        let recloser = Recloser::custom()
            .error_rate(0.5)
            .closed_len(WINDOW as usize)
            .open_wait(OPEN)
            .build();
        measure(c, mix, "recloser, last 100 calls", |calls| {
            for n in 0..calls {
                let result = recloser.call(|| mix.call(n));
                assert!(!matches!(result, Err(recloser::Error::Rejected)));
            }
        });

        let in_a_row = failure_policy::consecutive_failures(IN_A_ROW, backoff::constant(OPEN));
        let breaker = failsafe::Config::new().failure_policy(in_a_row).build();
        measure(c, mix, "failsafe, 10 in a row", |calls| {
            call_failsafe(&breaker, mix, calls)
        });

        let window = Duration::from_secs(10);
        let backoff = backoff::constant(OPEN);
        let rate = failure_policy::success_rate_over_time_window(0.5, MINIMUM, window, backoff);
        let breaker = failsafe::Config::new().failure_policy(rate).build();
        measure(c, mix, "failsafe, rate over 10 s", |calls| {
            call_failsafe(&breaker, mix, calls)
        });
    }
}

fn call_failsafe(breaker: &impl failsafe::CircuitBreaker, mix: Mix, calls: u64) {
    for n in 0..calls {
        let result = breaker.call(|| mix.call(n));
        assert!(!matches!(result, Err(failsafe::Error::Rejected)));
    }
}

/// As tower services: tower-resilience has no other way in.
fn services(c: &mut Criterion) {
    for mix in [Mix::Healthy, Mix::Failing] {
        let inner = service_fn(move |n| std::future::ready(mix.call(n)));

        let layer = CircuitBreakerLayer::new(breaker(Window::Calls(WINDOW)), ErrorsAreFailures);
        let service = layer.layer(inner);
        measure(c, mix, "service: ours, last 100 calls", |calls| {
            let is_open = |error| !matches!(error, CircuitBreakerError::Inner(_));
            call_all(service.clone(), calls, is_open);
        });

        let layer = peer::CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(WINDOW as usize)
            .minimum_number_of_calls(MINIMUM as usize)
            .wait_duration_in_open(OPEN)
            .build()
            .expect("valid");
        let service = layer.layer(inner);
        measure(
            c,
            mix,
            "service: tower-resilience, last 100 calls",
            |calls| {
                let is_open = |error| !matches!(error, peer::CircuitBreakerError::Inner(_));
                call_all(service.clone(), calls, is_open);
            },
        );
    }
}

fn call_all<S: Service<u64>>(mut service: S, calls: u64, is_open: impl Fn(S::Error) -> bool) {
    let runtime: Runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for n in 0..calls {
            let Ok(service) = service.ready().await else {
                unreachable!("it is always ready");
            };
            let is_rejected = service.call(n).await.is_err_and(&is_open);
            assert!(!is_rejected);
        }
    });
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = quick();
    targets = handles, services
}
criterion_main!(benches);
