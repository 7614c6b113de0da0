//! The services: started in the order in which they need each other, stopped in the other.

mod bound;
mod configs;
mod listeners;
mod ready;
mod supervisor;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::failure::Failure;
use bound::Bound;
use configs::Configs;
use ready::Readiness;
use supervisor::REPORTS_MAX;

pub(crate) use bound::Ports;
pub(crate) use configs::{Wiring, check};
pub(crate) use listeners::{Addresses, Listeners, http};
pub(crate) use supervisor::Supervisor;

/// The services, running.
pub(crate) struct Services {
    supervisor: Arc<Supervisor>,
    ended: mpsc::Receiver<String>,
}

impl Services {
    /// Starts all of them and waits until each is ready. If one fails, all are stopped.
    pub(crate) async fn start(
        configs: Configs,
        listeners: [Bound; 6],
        at: Addresses,
    ) -> Result<Self, Failure> {
        let ports = listeners.iter().map(Bound::ports).collect::<Result<_, _>>();
        let ports = ports.map_err(|error| Failure::new(format!("a port was lost: {error}")))?;
        let (report, ended) = mpsc::channel(REPORTS_MAX);
        let mut services = Self {
            supervisor: Arc::new(Supervisor::new(configs, ports, report)),
            ended,
        };
        match services.open(listeners, at).await {
            Ok(()) => Ok(services),
            Err(failure) => {
                services.stop(|_| {}).await;
                Err(failure)
            }
        }
    }

    async fn open(&mut self, listeners: [Bound; 6], at: Addresses) -> Result<(), Failure> {
        let ready = Readiness::new();
        let [observatory, users, others @ ..] = listeners;
        self.begin(observatory).await?;
        // All others check tokens with the keys of users, so users is started first; they do not depend on each other at the start.
        self.begin(users).await?;
        self.until(ready.of("users", at.users_admin)).await?;
        for bound in others {
            self.begin(bound).await?;
        }
        self.until(ready.of("products", at.products_admin)).await?;
        self.until(ready.of("orders", at.orders_admin)).await?;
        self.until(ready.of("notifications", at.notifications_admin))
            .await?;
        self.until(ready.of("gateway", at.gateway_admin)).await
    }

    async fn begin(&self, bound: Bound) -> Result<(), Failure> {
        self.supervisor.begin(bound).await.map_err(Failure::new)
    }

    /// The supervisor, which stops and starts single services.
    pub(crate) fn supervisor(&self) -> &Arc<Supervisor> {
        &self.supervisor
    }

    /// Waits until a service ends without having been stopped; returns why it ended.
    pub(crate) async fn ended(&mut self) -> String {
        self.ended
            .recv()
            .await
            .unwrap_or_else(|| "all services ended".to_owned())
    }

    /// Stops all of them ([`Supervisor::stop_all`]).
    pub(crate) async fn stop(self, tell: impl Fn(&str)) {
        self.supervisor.stop_all(tell).await;
    }

    async fn until(
        &mut self,
        ready: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        tokio::select! {
            outcome = ready => outcome,
            why = self.ended() => Err(Failure::new(why)),
        }
    }
}
