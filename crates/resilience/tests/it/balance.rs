//! The balancer, by callers that call again as soon as they are answered.

mod health;
mod life;
mod spread;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use resilience::balance::{
    Balance, BalanceConfig, BalanceError, EndpointSnapshot, EndpointState, Endpoints,
};
use resilience::classify::ErrorsAreFailures;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

type Balanced = Balance<&'static str, Server>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A server whose behaviour the test sets.
#[derive(Clone, Default)]
struct Server {
    delay_ms: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    in_progress: Arc<AtomicU64>,
    in_progress_max: Arc<AtomicU64>,
}

impl Server {
    fn answering_after(delay_ms: u64) -> Self {
        let server = Self::default();
        server.delay_ms.store(delay_ms, SeqCst);
        server
    }

    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, SeqCst);
    }

    /// Calls since this was last asked.
    fn new_calls(&self) -> u64 {
        self.calls.swap(0, SeqCst)
    }
}

struct InProgress(Arc<AtomicU64>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Service<()> for Server {
    type Response = ();
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<(), &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.calls.fetch_add(1, SeqCst);
        let now = self.in_progress.fetch_add(1, SeqCst) + 1;
        self.in_progress_max.fetch_max(now, SeqCst);
        let guard = InProgress(self.in_progress.clone());
        let (delay, broken) = (self.delay_ms.load(SeqCst), self.broken.clone());
        Box::pin(async move {
            let _guard = guard;
            tokio::time::sleep(ms(delay)).await;
            match broken.load(SeqCst) {
                true => Err("broken"),
                false => Ok(()),
            }
        })
    }
}

fn balance(config: &BalanceConfig, servers: &[(&'static str, &Server)]) -> Balanced {
    let balance = Balance::new("servers", config, ErrorsAreFailures).unwrap();
    update(&balance.endpoints(), servers);
    balance
}

fn update(endpoints: &Endpoints<&'static str, Server>, servers: &[(&'static str, &Server)]) {
    endpoints.update(servers.iter().map(|&(key, server)| (key, server.clone())));
}

/// Callers that call again as soon as they are answered, for a time; how many calls failed.
async fn load(balance: &Balanced, callers: usize, time: Duration) -> u64 {
    let until = Instant::now() + time;
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let mut balance = balance.clone();
        all.spawn(async move {
            let mut failed = 0;
            while Instant::now() < until {
                if balance.ready().await.unwrap().call(()).await.is_err() {
                    failed += 1;
                    // As a caller that backs off; a call that fails at once would not let the clock move.
                    tokio::time::sleep(ms(1)).await;
                }
            }
            failed
        });
    }
    all.join_all().await.into_iter().sum()
}

async fn call(balance: &Balanced) -> Result<(), BalanceError<&'static str>> {
    balance.clone().oneshot(()).await
}

fn snapshot_of(balance: &Balanced, key: &str) -> EndpointSnapshot<&'static str> {
    let snapshot = balance.endpoints().snapshot();
    snapshot.into_iter().find(|e| e.key == key).unwrap()
}

fn count_anew<const N: usize>(servers: [&Server; N]) {
    for server in servers {
        server.new_calls();
    }
}

fn percent(part: u64, other: u64) -> u64 {
    100 * part / (part + other)
}

fn no_warm_in() -> BalanceConfig {
    BalanceConfig {
        warm_in: Duration::ZERO,
        ..BalanceConfig::default()
    }
}
