//! What one balanced call costs beside tower's `p2c` with its peak EWMA, for 2, 10 and 100 endpoints.
//!
//! The endpoints answer at once, so that what is measured is the balancer: the pick, its books and the response
//! future. tonic's own balancing is tower's `p2c` with every load taken for zero behind a buffer and a task, in
//! private types; it cannot be called apart from a connection and is not measured here.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use resilience::balance::{Balance, BalanceConfig};
use resilience::classify::{ErrorsAreFailures, Outcome};
use tower::Service;
use tower::balance::p2c;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwma};

const ENDPOINTS: [usize; 3] = [2, 10, 100];

#[derive(Clone)]
struct Instantly;

impl Service<()> for Instantly {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

fn ours(endpoints: usize) -> Balance<usize, Instantly> {
    let config = BalanceConfig::default();
    let balance =
        Balance::new("endpoints", &config, ErrorsAreFailures).expect("the defaults are valid");
    let all = (0..endpoints).map(|key| (key, Instantly));
    balance.endpoints().update(all);
    balance
}

fn towers(endpoints: usize) -> impl Service<(), Response = (), Future: Unpin> {
    let config = BalanceConfig::default();
    let all = (0..endpoints).map(|_| {
        let decay_ns = config.decay.as_secs_f64() * 1e9;
        let completion = CompleteOnResponse::default();
        PeakEwma::new(Instantly, config.default_latency, decay_ns, completion)
    });
    p2c::Balance::new(ServiceList::new(all.collect::<Vec<_>>()))
}

/// One call, start to end, by hand: a runtime would cost more than what is measured.
fn call<S: Service<(), Response = ()>>(service: &mut S, cx: &mut Context<'_>) -> bool {
    let ready = service.poll_ready(cx).is_ready();
    let mut future = std::pin::pin!(service.call(()));
    ready && future.as_mut().poll(cx).is_ready()
}

fn calls(c: &mut Criterion) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut group = c.benchmark_group("balance/call");
    group.measurement_time(Duration::from_secs(3));
    group.warm_up_time(Duration::from_secs(1));
    for endpoints in ENDPOINTS {
        let mut service = ours(endpoints);
        group.bench_function(BenchmarkId::new("resilience", endpoints), |b| {
            b.iter(|| black_box(call(&mut service, &mut cx)));
        });
        let service = ours(endpoints);
        group.bench_function(BenchmarkId::new("resilience, new clone", endpoints), |b| {
            b.iter(|| black_box(call(&mut service.clone(), &mut cx)));
        });
        let mut service = ours(endpoints);
        group.bench_function(
            BenchmarkId::new("resilience, pick and record", endpoints),
            |b| {
                b.iter(|| {
                    let mut pending = service.pick().expect("there are endpoints");
                    pending.record(black_box(Outcome::Success));
                });
            },
        );
        let mut service = towers(endpoints);
        group.bench_function(BenchmarkId::new("tower p2c", endpoints), |b| {
            b.iter(|| black_box(call(&mut service, &mut cx)));
        });
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
