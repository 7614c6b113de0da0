//! State that all calls to a peer share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use resilience::ConfigError;
use resilience::bulkhead::{self, Bulkhead};
use resilience::circuit_breaker::{self, CircuitBreaker};
use resilience::retry::RetryStats;
use tokio::task::AbortHandle;

use super::endpoints::EndpointSet;
use crate::discovery::Discovery;
use crate::failure::{AttemptError, Failure};
use crate::{CallError, HealthCheck, Peer, health};

/// How many failed attempts are kept, for the admin port.
const ERRORS_KEPT: usize = 8;
/// The retry delay if the bulkhead is full; `Retry-After` has whole seconds.
const RETRY_FULL: Duration = Duration::from_secs(1);

pub(crate) struct Shared {
    pub(super) peer: Peer,
    pub(super) discovery: Discovery,
    pub(super) bulkhead: Bulkhead,
    pub(super) breaker: CircuitBreaker,
    pub(super) retries: RetryStats,
    pub(super) endpoints: Arc<dyn EndpointSet>,
    errors: Mutex<VecDeque<LastError>>,
    /// Whether the peer was ever reached: it answered or accepted a connection.
    reached: AtomicBool,
    /// Aborted when the last client is dropped.
    tasks: Vec<AbortHandle>,
}

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) at: SystemTime,
    pub(super) text: String,
}

impl Shared {
    pub(super) fn new(
        peer: Peer,
        endpoints: Arc<dyn EndpointSet>,
        retries: RetryStats,
    ) -> Result<Arc<Self>, ConfigError> {
        let discovery = Discovery::with_dns(peer.name, &peer.address, peer.dns.clone());
        endpoints.update(&discovery.snapshot().endpoints);
        let mut tasks = Vec::new();
        if !discovery.is_static() {
            let follow = follow(discovery.clone(), Arc::clone(&endpoints));
            tasks.push(tokio::spawn(follow).abort_handle());
        }
        if peer.config.health != HealthCheck::Off {
            let endpoints = Arc::clone(&endpoints);
            let mark = move |address, is_healthy| endpoints.set_healthy(address, is_healthy);
            let watch = health::watch(peer.clone(), discovery.changes(), mark);
            tasks.push(tokio::spawn(watch).abort_handle());
        }
        let breaker = match peer.config.breaker {
            Some(_) => CircuitBreaker::new(peer.label(), peer.config.breaker())?,
            None => CircuitBreaker::never_opening(peer.label(), peer.config.breaker())?,
        };
        let bulkhead = Bulkhead::new(peer.config.bulkhead())?;
        Ok(Arc::new(Self {
            peer,
            discovery,
            bulkhead,
            breaker,
            retries,
            endpoints,
            errors: Mutex::default(),
            reached: AtomicBool::new(false),
            tasks,
        }))
    }

    /// Waits for the first lookup, if there are no endpoints yet.
    pub(super) async fn endpoints_known(&self) {
        if self.endpoints.is_empty() && !self.discovery.is_static() {
            self.discovery.first().await;
            // The task that follows discovery may not have had its turn yet.
            self.endpoints.update(&self.discovery.snapshot().endpoints);
        }
    }

    /// Whether the peer was ever reached.
    pub(super) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Records that the peer answered or accepted a connection.
    pub(super) fn reached(&self) {
        // Read first: the flag is written once, but read by every call on every core.
        if !self.was_reached() {
            self.reached.store(true, Ordering::Relaxed);
        }
    }

    /// Records a failed attempt.
    pub(super) fn failed(&self, error: &AttemptError) {
        match error {
            // The endpoint is gone, and the peer may have moved to another address.
            AttemptError::Failed(Failure::Refused(_) | Failure::Unsent(_)) => {
                self.discovery.hurry()
            }
            AttemptError::Failed(Failure::Broken(_) | Failure::TooLong(_)) => self.reached(),
            _ => {}
        }
        tracing::debug!(peer = self.peer.name, %error, "an attempt failed");
        let mut errors = self.errors.lock();
        errors.truncate(ERRORS_KEPT - 1);
        errors.push_front(LastError {
            at: SystemTime::now(),
            text: error.to_string(),
        });
    }

    /// The last errors, newest first.
    pub(super) fn last_errors(&self) -> Vec<LastError> {
        let errors = self.errors.lock();
        errors.iter().cloned().collect()
    }

    pub(super) fn rejected(&self, rejected: &bulkhead::Rejected) -> CallError {
        CallError::Rejected {
            peer: self.peer.name.to_owned(),
            detail: rejected.to_string(),
            retry_after: RETRY_FULL,
        }
    }

    pub(super) fn timeout(&self) -> CallError {
        CallError::Timeout {
            peer: self.peer.name.to_owned(),
        }
    }

    pub(super) fn open(&self, rejected: circuit_breaker::Rejected) -> CallError {
        CallError::Rejected {
            peer: self.peer.name.to_owned(),
            detail: "the circuit breaker is open".to_owned(),
            retry_after: rejected.retry_after,
        }
    }

    /// The error that the caller gets.
    pub(super) fn call_error(&self, error: AttemptError) -> CallError {
        let peer = self.peer.name;
        match error {
            AttemptError::TimedOut(_) | AttemptError::Failed(Failure::Late) => self.timeout(),
            AttemptError::Stalled(_) => CallError::Stalled {
                peer: peer.to_owned(),
            },
            AttemptError::NoEndpoints => {
                let why = self.discovery.health().err();
                CallError::unavailable(peer, why.as_deref().unwrap_or("it has no endpoints"))
            }
            AttemptError::Failed(Failure::Aborted(detail)) => CallError::Aborted {
                peer: peer.to_owned(),
                detail,
            },
            AttemptError::Failed(Failure::TooLong(detail)) => CallError::decode(peer, detail),
            AttemptError::Failed(failure) => CallError::unavailable(peer, failure),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Passes each change of discovery to the balancer.
async fn follow(discovery: Discovery, endpoints: Arc<dyn EndpointSet>) {
    let mut changes = discovery.changes();
    loop {
        let found = Arc::clone(&changes.borrow_and_update().endpoints);
        endpoints.update(&found);
        if changes.changed().await.is_err() {
            return;
        }
    }
}
