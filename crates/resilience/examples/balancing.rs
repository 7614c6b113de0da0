//! Three endpoints; one of them slows down, dies and comes back. With the balancer, and without it: round robin.
//!
//! `cargo run -p resilience --example balancing`

#![expect(clippy::print_stdout, reason = "it is here to be looked at")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use resilience::balance::{Balance, BalanceConfig, EndpointState, Endpoints, RetryElsewhereLayer};
use resilience::classify::ErrorsAreFailures;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

const NORMAL_MS: u64 = 10;
const SLOW_MS: u64 = 200;
const CALLERS: usize = 20;
const TICK: Duration = Duration::from_millis(500);

/// What happens to endpoint `b`, at which half second.
const STORY: [(usize, &str); 4] = [
    (0, "three equal endpoints"),
    (4, "b becomes 20 times slower"),
    (10, "b refuses every call"),
    (16, "b is well again"),
];
const TICKS: usize = 25;

/// Stands for a connection to one address.
#[derive(Clone, Default)]
struct Server(Arc<State>);

#[derive(Default)]
struct State {
    slow: AtomicBool,
    dead: AtomicBool,
    calls: AtomicU64,
}

impl Service<()> for Server {
    type Response = ();
    type Error = &'static str;
    type Future = BoxFuture<'static, Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.0.calls.fetch_add(1, Relaxed);
        let (slow, dead) = (self.0.slow.load(Relaxed), self.0.dead.load(Relaxed));
        Box::pin(async move {
            if dead {
                return Err("refused");
            }
            sleep(Duration::from_millis(if slow {
                SLOW_MS
            } else {
                NORMAL_MS
            }))
            .await;
            Ok(())
        })
    }
}

// region: build
/// A balancer; what finds endpoints keeps the handle and updates them.
fn balanced(servers: &[(&'static str, Server)]) -> (Balance<&'static str, Server>, Handle) {
    let config = BalanceConfig {
        // In step with this short story; the defaults are 10 s.
        decay: Duration::from_secs(1),
        warm_in: Duration::from_secs(3),
        ..BalanceConfig::default()
    };
    let balance =
        Balance::new("orders", &config, ErrorsAreFailures).expect("a valid configuration");
    let endpoints = balance.endpoints();
    endpoints.update(servers.iter().cloned());
    (balance, endpoints)
}
// endregion: build

type Handle = Endpoints<&'static str, Server>;

/// The usual alternative.
#[derive(Clone)]
struct RoundRobin {
    servers: Vec<Server>,
    next: Arc<AtomicUsize>,
}

impl Service<()> for RoundRobin {
    type Response = ();
    type Error = &'static str;
    type Future = BoxFuture<'static, Result<(), &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let next = self.next.fetch_add(1, Relaxed) % self.servers.len();
        self.servers[next].call(())
    }
}

/// What the callers saw since they were last asked.
#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// Callers that call, wait for the answer, and call again.
fn callers<S>(service: S, seen: &Arc<Seen>) -> JoinSet<()>
where
    S: Service<(), Future: Send> + Clone + Send + 'static,
{
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (service, seen) = (service.clone(), seen.clone());
        callers.spawn(async move {
            loop {
                let start = Instant::now();
                let failed = service.clone().oneshot(()).await.is_err();
                let micros = start.elapsed().as_micros() as u64;
                seen.calls.fetch_add(1, Relaxed);
                seen.micros.fetch_add(micros, Relaxed);
                seen.failed.fetch_add(failed.into(), Relaxed);
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    callers
}

fn row(servers: &[(&'static str, Server)], seen: &Seen) -> String {
    let calls: Vec<u64> = servers
        .iter()
        .map(|(_, s)| s.0.calls.swap(0, Relaxed))
        .collect();
    let all = calls.iter().sum::<u64>().max(1);
    let shares: Vec<String> = calls
        .iter()
        .map(|n| format!("{:3}", n * 100 / all))
        .collect();
    let answered = seen.calls.swap(0, Relaxed);
    let mean_ms = seen.micros.swap(0, Relaxed) / answered.max(1) / 1000;
    let failed = seen.failed.swap(0, Relaxed);
    format!("{} │ {answered:5} {failed:6} {mean_ms:5}", shares.join(" "))
}

/// What the balancer knows of `b`.
fn known(endpoints: &Handle) -> String {
    let Some(b) = endpoints.snapshot().into_iter().find(|e| e.key == "b") else {
        return String::new();
    };
    let state = match b.state {
        EndpointState::Warming { percent } => format!("warming, {percent} %"),
        EndpointState::Ejected => "ejected".to_owned(),
        EndpointState::Probation => "to be probed".to_owned(),
        EndpointState::Unhealthy => "unhealthy".to_owned(),
        EndpointState::Ready => String::new(),
    };
    format!("{:5} {state}", b.latency_us.unwrap_or(0) / 1000)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [with, without] = [(); 2].map(|()| ["a", "b", "c"].map(|key| (key, Server::default())));
    let (balance, endpoints) = balanced(&with);
    let round_robin = RoundRobin {
        servers: without.iter().map(|(_, server)| server.clone()).collect(),
        next: Arc::default(),
    };
    let [seen_with, seen_without] = [(); 2].map(|()| Arc::new(Seen::default()));
    let _with = callers(RetryElsewhereLayer.layer(balance), &seen_with);
    let _without = callers(round_robin, &seen_without);

    println!(
        "{CALLERS} callers each; the share of the calls in %, the answers, their mean time in ms\n"
    );
    println!("        │ balanced                      │ round robin                   │");
    println!(
        "      s │   a   b   c │ calls failed  ms │   a   b   c │ calls failed  ms │ b: ms known, state"
    );
    for tick in 0..TICKS {
        if let Some((at, what)) = STORY.iter().find(|(at, _)| *at == tick) {
            println!("── {what}");
            for (_, server) in [&with[1], &without[1]] {
                server.0.slow.store(*at == 4, Relaxed);
                server.0.dead.store(*at == 10, Relaxed);
            }
        }
        sleep(TICK).await;
        let seconds = TICK.as_secs_f32() * (tick + 1) as f32;
        let (left, right) = (row(&with, &seen_with), row(&without, &seen_without));
        println!("{seconds:7.1} │ {left} │ {right} │ {}", known(&endpoints));
    }
}
