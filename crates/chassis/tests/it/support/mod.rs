//! What the tests share.

pub(crate) mod h2;
pub(crate) mod hello;
pub(crate) mod issuer;
pub(crate) mod log;
pub(crate) mod raw;
pub(crate) mod server;

use std::future::Future;
use std::time::Duration;

/// The longest that any condition is waited for; far more than any takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The outcome, which must come.
pub(crate) async fn in_time<F: Future>(outcome: F) -> F::Output {
    tokio::time::timeout(PATIENCE, outcome)
        .await
        .expect("in time")
}

/// What the gRPC doors of these tests serve.
pub(crate) fn methods() -> chassis::grpc::Methods {
    chassis::grpc::Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap()
}

/// How many series there are of this service.
pub(crate) fn series(service: &str) -> usize {
    let label = format!("service=\"{service}\"");
    let metrics = chassis::metrics::render();
    metrics.lines().filter(|line| line.contains(&label)).count()
}

/// Waits until a pool has all of its connections: on a busy machine one may take longer to make than a statement waits for it.
pub(crate) async fn connected(pool: &sqlx::PgPool, connections: u32) {
    eventually("all connections are there", || async {
        let acquired = (0..connections).map(|_| pool.acquire());
        let acquired = futures::future::join_all(acquired).await;
        acquired.iter().all(Result::is_ok)
    })
    .await;
}

/// Waits until `condition` holds. Looks again every few milliseconds, because nothing announces it.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
