//! What every service begins and ends with.

use std::sync::Arc;
use std::time::Duration;

use resilience::fault::Faults;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::admin::{self, Clients, DeadLetters};
use crate::auth::{KeySource, Realm, Verifier};
use crate::health::{Dependency, Health};
use crate::tasks::Tasks;
use crate::{Fatal, ServiceInfo, Shutdown, config, db, http};

/// What the tasks get beyond the doors' own deadline, so that a door itself says what it cut off.
const GRACE: Duration = Duration::from_millis(500);

/// A service that has begun: its admin port answers. What it adds between [`start`](Base::start) and
/// [`run`](Base::run) is its own.
pub struct Base {
    /// Which service it is, for its doors.
    pub service: ServiceInfo,
    /// What `/readyz` says.
    pub health: Health,
    /// The parts that run.
    pub tasks: Tasks,
    /// What the admin port shows of the calls to others.
    pub clients: Clients,
    /// What the admin port shows of messages that could not be handled.
    pub dead_letters: DeadLetters,
    /// What is broken on purpose, where that is allowed.
    pub faults: Option<Faults>,
    /// When to stop.
    pub shutdown: Shutdown,
    deadline: Duration,
}

impl Base {
    /// Begins with the admin port, so that probes hear of a start that has to wait.
    pub fn start(
        service: impl Into<ServiceInfo>,
        config: &config::Service,
        admin: TcpListener,
        shutdown: Shutdown,
    ) -> Self {
        let service = service.into();
        let (health, clients, faults) = (Health::new(service), Clients::new(), config.faults());
        let letters = DeadLetters::default();
        let controls = admin::controls(service, clients.clone(), letters.clone(), faults.clone());
        let access = config.admin_access();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn(
            "admin",
            admin::serve(admin, access, health.clone(), controls, shutdown.clone()),
        );
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
    /// If the URL cannot be read.
    pub fn database(&self, config: &config::Database) -> Result<(PgPool, Dependency), Fatal> {
        let postgres = self.health.dependency("postgres");
        let pool = db::connect(
            &config.database_url,
            config.max_connections,
            self.service.name,
        )?;
        Ok((pool, postgres))
    }

    /// Waits for the database, has `attempt` make there what the service needs ([`db::until_available`]), and watches
    /// the database from then on. Returns whether it came so far before the shutdown.
    ///
    /// # Errors
    /// What waiting cannot repair.
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

    /// Checks tokens of `realm` with the keys of `source`, which are kept fresh; `keys` says how that goes.
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

    /// What [`crate::http::serve`] and [`crate::grpc::serve`] take, for a door of this service.
    #[must_use]
    pub fn options(&self, server: &config::Server) -> http::Options {
        http::Options {
            problem_types: self.service.problem_types,
            ..server.options(self.deadline)
        }
    }

    /// Says that the start is over, and waits for the shutdown and the end of all parts.
    ///
    /// # Errors
    /// The first part that failed or ended early.
    pub async fn run(self) -> Result<(), Fatal> {
        self.health.ready();
        self.stop().await
    }

    /// Waits for the end of a service whose start was given up.
    ///
    /// # Errors
    /// As for [`Base::run`].
    pub async fn stop(self) -> Result<(), Fatal> {
        self.tasks.join(self.deadline + GRACE).await
    }
}
