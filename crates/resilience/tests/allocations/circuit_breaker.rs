//! A closed circuit breaker.

use std::future::ready;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use resilience::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Config, Window};
use resilience::classify::ErrorsAreFailures;
use tower::{Layer, Service, service_fn};

use super::allocations;

const CALLS: u32 = 1000;

fn breakers() -> [CircuitBreaker; 2] {
    let cheapest = Config::default();
    let dearest = Config {
        window: Window::Time(Duration::from_secs(10)),
        slow_call: Some(Duration::from_secs(60)),
        ..Config::default()
    };
    [cheapest, dearest].map(|config| CircuitBreaker::new("dependency", config).expect("valid"))
}

/// Every tenth call fails.
fn answer(n: u32) -> Result<u32, u32> {
    if n % 10 == 9 { Err(n) } else { Ok(n) }
}

#[test]
fn the_handle_allocates_nothing() {
    for breaker in breakers() {
        let calls = || {
            for n in 0..CALLS {
                let permit = breaker.acquire().expect("closed");
                permit.record_result(&ErrorsAreFailures, &answer(n));
                drop(breaker.acquire_owned().expect("closed"));
            }
        };
        assert_eq!(allocations(calls), 0);
    }
}

#[test]
fn the_layer_allocates_nothing() {
    for breaker in breakers() {
        let mut service = CircuitBreakerLayer::new(breaker, ErrorsAreFailures)
            .layer(service_fn(|n| ready(answer(n))));
        let calls = || {
            let mut cx = Context::from_waker(Waker::noop());
            for n in 0..CALLS {
                assert!(service.poll_ready(&mut cx).is_ready());
                let answered = pin!(service.call(n)).poll(&mut cx);
                assert!(answered.is_ready());
            }
        };
        assert_eq!(allocations(calls), 0);
    }
}
