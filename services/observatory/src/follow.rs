//! Follows the `/hops` of each replica: one task for each, for as long as discovery knows it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use chassis::{Fatal, Shutdown};
use client::{CallContext, Events};
use tokio::task::JoinSet;

use crate::replicas::{Replica, Replicas, Service};
use crate::sky::Sky;

/// The first and the longest delay before reconnecting to a port that failed or sent something invalid. With jitter, so that
/// observatories do not reconnect at the same time.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Follows all of them until the shutdown.
pub(crate) async fn all(
    replicas: Arc<Replicas>,
    sky: Arc<Sky>,
    shutdown: Shutdown,
) -> Result<(), Fatal> {
    let mut following = JoinSet::new();
    for at in 0..replicas.services().len() {
        let (replicas, sky) = (Arc::clone(&replicas), Arc::clone(&sky));
        following.spawn(async move { service(&replicas.services()[at], &sky).await });
    }
    shutdown.cancelled().await;
    // No work has to be finished.
    following.shutdown().await;
    Ok(())
}

/// Starts a task for each new replica, and ends that of each removed one.
async fn service(service: &Service, sky: &Arc<Sky>) {
    let mut changes = service.discovery.changes();
    let mut tasks = JoinSet::new();
    let mut followed: HashMap<SocketAddr, tokio::task::AbortHandle> = HashMap::new();
    loop {
        let endpoints = Arc::clone(&changes.borrow_and_update().endpoints);
        followed.retain(|at, task| {
            let is_there = endpoints.contains(at);
            if !is_there {
                task.abort();
            }
            is_there
        });
        for replica in service.replicas() {
            followed.entry(replica.at).or_insert_with(|| {
                let sky = Arc::clone(sky);
                tasks.spawn(async move { follow(&replica, &sky).await })
            });
        }
        if changes.changed().await.is_err() {
            // A literal address never changes.
            return std::future::pending().await;
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// One replica, for ever.
async fn follow(replica: &Replica, sky: &Sky) {
    let mut last: Option<String> = None;
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    loop {
        let opened = Events::<()>::open(
            replica.rest(),
            "/hops",
            last.as_deref(),
            CallContext::default(),
        );
        if let Ok(mut events) = opened.await {
            let _following = sky.following(replica.at);
            let see = |record: &str| sky.see(replica.service, record);
            while let Some(Ok(())) = events.next_with(see).await {
                backoff.reset();
                // A port that sends without a pause must not starve the other tasks.
                tokio::task::coop::consume_budget().await;
            }
            last = events.last_id().map(str::to_owned);
        }
        tracing::debug!(service = replica.service, at = %replica.at, "the hops of a replica cannot be read; reconnecting");
        tokio::time::sleep(backoff.next()).await;
    }
}
