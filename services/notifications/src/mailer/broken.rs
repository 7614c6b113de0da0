//! Deliveries that are broken on purpose, and how they are doing: the client `mail` of the admin port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::admin::Clients;
use resilience::fault::{FaultLayer, Faults, Kind};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use super::{MailError, Mailer};
use crate::domain::Mail;

/// The name under which the mail server is called, for rules of faults.
const NAME: &str = "mail";
/// How long a delivery that is left hanging holds its job. Deliveries that do not hang have limits of their own.
const HANG_MAX: Duration = Duration::from_secs(10);

/// Applies rules of faults to each delivery. A rule that delays makes a slow mail server of any.
pub(crate) struct Broken {
    inner: Arc<dyn Mailer>,
    faults: Option<Faults>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    failures: AtomicU64,
}

impl Broken {
    /// Delivers by `inner`, and is one of `clients`; where there are no `faults` nothing is broken.
    pub(crate) fn new(inner: Arc<dyn Mailer>, faults: Option<Faults>, clients: &Clients) -> Self {
        let counts = Arc::<Counts>::default();
        let shown = Arc::clone(&counts);
        let snapshot = move || {
            let (calls, failures) = (&shown.calls, &shown.failures);
            json!({"breaker": null, "endpoints": [{
                "address": NAME, "state": "ready",
                "calls": calls.load(Ordering::Relaxed), "failures": failures.load(Ordering::Relaxed),
            }]})
        };
        let no_breaker = |_: &_| Err("deliveries have no breaker: their jobs wait".to_owned());
        clients.add(NAME, snapshot, no_breaker);
        Self {
            inner,
            faults,
            counts,
        }
    }

    async fn deliver(&self, mail: &Mail) -> Result<(), MailError> {
        let Some(faults) = &self.faults else {
            return self.inner.send(mail).await;
        };
        let may_hang = faults
            .list()
            .iter()
            .any(|rule| rule.target == NAME && rule.kind == Kind::Hang);
        let hangs = async {
            match may_hang {
                true => tokio::time::sleep(HANG_MAX).await,
                false => std::future::pending().await,
            }
        };
        let layer = FaultLayer::new(faults.clone(), NAME, || Err(MailError::OnPurpose));
        let delivery = layer.layer(tower::service_fn(|()| self.inner.send(mail)));
        tokio::select! {
            delivered = delivery.oneshot(()) => delivered,
            () = hangs => Err(MailError::OnPurpose),
        }
    }
}

#[async_trait]
impl Mailer for Broken {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let delivered = self.deliver(mail).await;
        if delivered.is_err() {
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
        }
        delivered
    }
}
