//! The parts with which every service starts and stops.

use std::sync::Arc;
use std::time::Duration;

use resilience::fault::Faults;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::admin::{self, Clients, DeadLetters};
use crate::auth::{KeySource, Realm, Verifier};
use crate::health::{Dependency, Health};
use crate::tasks::Tasks;
use crate::{Fatal, ServiceInfo, Shutdown, config, db, http, sidecar};

/// Extra time for the tasks beyond the doors' own deadline, so that a door itself logs the requests that it cut off.
const GRACE: Duration = Duration::from_millis(500);

/// A started service whose admin port answers. The calls between [`start`](Base::start) and [`run`](Base::run) are
/// specific to the service.
pub struct Base {
    /// The name of the service, for its doors.
    pub service: ServiceInfo,
    /// The state behind `/readyz`.
    pub health: Health,
    /// The running tasks of the service.
    pub tasks: Tasks,
    /// The service's clients, for the admin port.
    pub clients: Clients,
    /// What the admin port shows of messages that could not be handled.
    pub dead_letters: DeadLetters,
    /// What is broken on purpose, where that is allowed.
    pub faults: Option<Faults>,
    /// The signal to stop.
    pub shutdown: Shutdown,
    deadline: Duration,
}

impl Base {
    /// Starts the admin port first, so that probes get an answer while the rest of the start still waits.
    pub fn start(
        service: impl Into<ServiceInfo>,
        config: &config::Service,
        admin: TcpListener,
        shutdown: Shutdown,
    ) -> Self {
        let service = ServiceInfo {
            has_sidecar: config.sidecar.is_some(),
            ..service.into()
        };
        let (health, clients, faults) = (Health::new(service), Clients::new(), config.faults());
        let letters = DeadLetters::default();
        let controls = admin::controls(service, clients.clone(), letters.clone(), faults.clone())
            .merge(admin::hops(service, shutdown.token()));
        let access = config.admin_access();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn(
            "admin",
            admin::serve(admin, access, health.clone(), controls, shutdown.clone()),
        );
        if let Some(address) = config.sidecar {
            let beside = health.dependency("sidecar");
            tasks.spawn("sidecar", sidecar::watch(address, beside, shutdown.clone()));
        }
        Self {
            health,
            tasks,
            clients,
            dead_letters: letters,
            faults,
            shutdown,
            service,
            deadline: config.shutdown_deadline,
        }
    }

    /// A pool for the service's own database, and the dependency `postgres`.
    ///
    /// # Errors
    /// If the URL cannot be parsed.
    pub fn database(&self, config: &config::Database) -> Result<(PgPool, Dependency), Fatal> {
        let postgres = self.health.dependency("postgres");
        let pool = db::connect(
            &config.database_url,
            config.max_connections,
            self.service.name,
        )?;
        Ok((pool, postgres))
    }

    /// Waits for the database, runs `attempt` to prepare it for the service ([`db::until_available`]), and monitors the
    /// database from then on. Returns false if the shutdown began first.
    ///
    /// # Errors
    /// Errors that waiting cannot repair.
    pub async fn prepare<E, F>(
        &mut self,
        pool: &PgPool,
        postgres: Dependency,
        is_unavailable: impl Fn(&E) -> bool,
        attempt: impl FnMut() -> F,
    ) -> Result<bool, Fatal>
    where
        E: std::error::Error,
        F: Future<Output = Result<(), E>>,
    {
        db::until_available(&postgres, &self.shutdown, is_unavailable, attempt).await?;
        if self.shutdown.is_triggered() {
            return Ok(false);
        }
        let watch = db::watch(pool.clone(), postgres, self.shutdown.clone());
        self.tasks.spawn("database watch", watch);
        Ok(true)
    }

    /// A verifier for tokens of `realm` with the keys of `source`. A task keeps the keys fresh and reports on that to
    /// `keys`.
    pub fn verifier(
        &mut self,
        realm: Realm,
        source: Arc<dyn KeySource>,
        keys: Dependency,
    ) -> Verifier {
        let verifier = Verifier::new(realm, source);
        let fresh = verifier.clone().keep_fresh(keys, self.shutdown.clone());
        self.tasks.spawn("keys", fresh);
        verifier
    }

    /// The options of [`crate::http::serve`] and [`crate::grpc::serve`] for a door of this service.
    #[must_use]
    pub fn options(&self, server: &config::Server) -> http::Options {
        http::Options {
            problem_types: self.service.problem_types,
            ..server.options(self.deadline)
        }
    }

    /// Marks the service as ready, and waits for the shutdown and the end of all tasks.
    ///
    /// # Errors
    /// The error of the first task that failed or ended early.
    pub async fn run(self) -> Result<(), Fatal> {
        self.health.ready();
        self.stop().await
    }

    /// Waits for the end of a service whose start was abandoned.
    ///
    /// # Errors
    /// As for [`Base::run`].
    pub async fn stop(self) -> Result<(), Fatal> {
        self.tasks.join(self.deadline + GRACE).await
    }
}
