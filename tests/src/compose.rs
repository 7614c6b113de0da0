//! The marketplace in containers, on the real engines: `docker-compose.yml` as it stands, brought up by
//! testcontainers, with ports of its own (`ports.rs`) and a guardian that removes it whatever happens
//! (`guardian.rs`).

mod cli;
mod guardian;
mod ports;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testcontainers::compose::DockerCompose;
use tokio::runtime::Runtime;

use crate::mail::Mail;
use crate::marketplace::{Marketplace, Stopped};
use crate::tap::{Brokers, Tap};
use crate::{mail, wait};
use cli::Cli;
use guardian::Guardian;
use ports::Ports;

/// Our services, from the edge inwards: the order in which a careful operator stops them.
pub const SERVICES: [&str; 5] = ["gateway", "users", "orders", "products", "notifications"];
/// The second instances that some of them have in the mesh.
pub const SECONDS: [&str; 3] = ["users-2", "orders-2", "products-2"];
/// Images of their own: built fast, and not in place of a developer's.
const IMAGES: [(&str, &str); 2] = [("AGORA_TAG", "test"), ("AGORA_PROFILE", "tested")];
/// Doors for the scenarios that are closed otherwise.
const DOORS: &str = "tests/compose.override.yml";
/// Sidecars between all services.
const MESH: &str = "deploy/mesh/compose.yml";
/// In a mesh that scenarios look at, a certificate gets old within a minute, so that whatever they play happens while
/// certificates are replaced.
const MESH_TIMES: [(&str, &str); 2] = [("MESH_LIFE", "60s"), ("MESH_TRUST_FIRST", "5s")];
/// How long everything may take to become ready, on a busy machine with new volumes.
const READY_PATIENCE: Duration = Duration::from_secs(240);
/// How often to ask the engine: each time is a process.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// `stop_grace_period` of our services in docker-compose.yml.
const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// A marketplace of containers. All of it is removed when this is dropped.
pub struct Compose {
    cli: Cli,
    ports: Ports,
    // Dropped before the guardian, which finds nothing left to do then.
    stack: Option<DockerCompose>,
    runtime: Runtime,
    started_in: Duration,
    is_meshed: bool,
    _guardian: Guardian,
}

/// Why the containers cannot be had here, if so.
///
/// # Errors
/// One line that says what is missing.
pub fn available() -> Result<(), String> {
    for (arguments, what) in [
        (&["info"][..], "no container engine answers"),
        (&["compose", "version"], "`docker compose` is missing"),
    ] {
        let output = std::process::Command::new("docker")
            .args(arguments)
            .output();
        if !output.is_ok_and(|output| output.status.success()) {
            return Err(format!("{what}: `docker {}` fails", arguments.join(" ")));
        }
    }
    Ok(())
}

impl Compose {
    /// Builds the images of what is in the tree, brings everything up and waits until all is healthy.
    ///
    /// # Panics
    /// When that fails; the message says what did.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(DOORS, &[])
    }

    /// The same in the mesh of `deploy/mesh`, as it stands. Nothing is published but what that publishes.
    ///
    /// # Panics
    /// When that fails; the message says what did.
    #[must_use]
    pub fn start_meshed() -> Self {
        Self::start_with(MESH, &MESH_TIMES)
    }

    /// The same with these variables of the mesh instead, so that a certificate lives for an hour unless they say otherwise.
    ///
    /// # Panics
    /// When that fails; the message says what did.
    #[must_use]
    pub fn start_meshed_with(variables: &[(&str, &str)]) -> Self {
        Self::start_with(MESH, variables)
    }

    fn start_with(overlay: &str, variables: &[(&str, &str)]) -> Self {
        let compose = Self::prepare(overlay, variables);
        let cli = &compose.cli;
        cli.run(&["build", "--quiet"]);
        compose.up()
    }

    /// A marketplace of which nothing runs yet.
    fn prepare(overlay: &str, more: &[(&str, &str)]) -> Self {
        let ports = Ports::free();
        let project = format!("agora-scenarios-{}", uuid::Uuid::new_v4().simple());
        let mut variables = ports.variables();
        let fixed = IMAGES.iter().chain(more);
        variables.extend(fixed.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let cli = Cli::new(root(), overlay, project, variables);
        Self {
            _guardian: Guardian::of(cli.project()),
            stack: None,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime"),
            started_in: Duration::ZERO,
            is_meshed: overlay == MESH,
            cli,
            ports,
        }
    }

    fn up(mut self) -> Self {
        let begun = Instant::now();
        // `--wait` of Compose gives up after a minute, which says nothing about the marketplace.
        let mut stack = DockerCompose::with_local_client(self.cli.files())
            .with_project_name(self.cli.project())
            .with_env_vars(self.cli.variables().iter().cloned().collect())
            .with_wait(false);
        self.runtime
            .block_on(stack.up())
            .unwrap_or_else(|error| panic!("docker compose up: {error}"));
        self.stack = Some(stack);
        self.until_healthy();
        self.started_in = begun.elapsed();
        self
    }

    /// How long it took from images that were there until all was healthy.
    #[must_use]
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// All of our services, those of a mesh with their second instances.
    fn services(&self) -> Vec<&'static str> {
        let mut services = SERVICES.to_vec();
        if self.is_meshed {
            services.extend(SECONDS);
        }
        services
    }

    /// Waits until every container that has a health check is healthy, and all of our services are there.
    ///
    /// # Panics
    /// When they are not in time.
    pub fn until_healthy(&self) {
        wait::until_every(
            LOOK_EVERY,
            READY_PATIENCE,
            "all containers to be healthy",
            || {
                let containers = self.cli.containers();
                let is_there = |service| containers.iter().any(|c| c.service == service);
                let ready = self.services().into_iter().all(is_there)
                    && containers.iter().all(cli::Container::is_well);
                ready.then_some(())
            },
        );
    }

    /// Runs `docker compose` with these arguments; answers what it printed.
    ///
    /// # Panics
    /// When it fails; the message has its error output.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.cli.run(arguments)
    }

    /// The names of a service's containers that are there, running or not.
    #[must_use]
    pub fn containers(&self, service: &str) -> Vec<String> {
        let containers = self.cli.containers();
        containers
            .into_iter()
            .filter(|container| container.service == service)
            .map(|container| container.name)
            .collect()
    }

    /// `docker` with these arguments, for single containers.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        self.cli.docker(arguments)
    }

    /// Sends SIGTERM to one container and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop_container(&self, name: &str) -> Stopped {
        let since = Instant::now();
        // Longer than the grace period, so that one who overstays it is seen to, and not killed first.
        let seconds = (GRACE_PERIOD.as_secs() + 10).to_string();
        self.docker(&["stop", "--time", &seconds, name]);
        let took = since.elapsed();
        let code = self.docker(&["inspect", "--format", "{{.State.ExitCode}}", name]);
        Stopped {
            process: name.to_owned(),
            code: code.trim().parse().ok(),
            took,
        }
    }

    /// Gives our services these variables and no others, which recreates those containers that had others;
    /// brings back everything that a scenario left paused, stopped or doubled; and waits until all is well.
    ///
    /// # Panics
    /// When they do not come up with them.
    pub fn configure(&mut self, variables: &[(&str, &str)]) {
        self.cli.configure(&self.services(), variables);
        for container in self.cli.containers() {
            if container.is_paused() {
                self.docker(&["unpause", &container.name]);
            }
        }
        self.run(&["up", "--detach", "--no-build"]);
        self.until_healthy();
    }

    /// `docker-compose.yml` as Compose reads it, without what the scenarios add.
    ///
    /// # Panics
    /// When Compose cannot read it.
    #[must_use]
    pub fn as_committed(&self) -> serde_json::Value {
        self.cli.as_committed()
    }

    /// The base URL of RabbitMQ's management API.
    #[must_use]
    pub fn rabbitmq_management(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.rabbitmq_management)
    }

    /// The base URL of Prometheus, if it was started.
    #[must_use]
    pub fn prometheus(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.prometheus)
    }

    /// Kafka as this account, with its development password of docker-compose.yml.
    #[must_use]
    pub fn kafka(&self, account: &str) -> Brokers {
        Brokers {
            address: format!("127.0.0.1:{}", self.ports.kafka),
            account: Some((account.to_owned(), format!("{account}-dev"))),
        }
    }

    /// RabbitMQ for this account, with its development password of docker-compose.yml.
    #[must_use]
    pub fn rabbitmq(&self, account: &str) -> String {
        let port = self.ports.rabbitmq;
        format!("amqp://{account}:{account}-dev@127.0.0.1:{port}/agora")
    }

    fn mailpit(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.mailpit)
    }

    /// Writes all logs there are to a file in `directory` that is called after `occasion`, and outlives the containers;
    /// answers where.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn keep_logs(&self, directory: &Path, occasion: &str) -> PathBuf {
        let path = directory.join(format!("{}-{occasion}.log", self.cli.project()));
        std::fs::write(&path, self.log()).expect("the logs");
        path
    }
}

impl Marketplace for Compose {
    fn endpoint(&self, service: &str) -> String {
        let inside = match service {
            "gateway" => return format!("http://127.0.0.1:{}", self.ports.gateway),
            "users" => "50051",
            "orders" => "8081",
            other => panic!("{other} cannot be reached from outside"),
        };
        // compose.override.yml lets the engine choose, and each time that the container starts.
        format!("http://{}", self.run(&["port", service, inside]).trim())
    }

    fn tap(&self, topics: &[&str]) -> Tap {
        Tap::open(&self.kafka("operator"), topics)
    }

    /// With the development passwords of docker-compose.yml.
    fn database(&self, service: &str) -> String {
        let port = self.ports.postgres;
        format!("postgres://{service}:{service}-dev@127.0.0.1:{port}/{service}")
    }

    fn mails_naming(&self, needle: &str) -> Option<Vec<String>> {
        // Mailpit splits words: what it finds is looked through once more.
        let query = format!("%22{needle}%22");
        let mut mails = mail::sources_in_mailpit(&self.mailpit(), &query)?;
        mails.retain(|mail| mail.contains(needle));
        Some(mails)
    }

    fn mails_to(&self, address: &str) -> Option<Vec<Mail>> {
        mail::mails_in_mailpit(&self.mailpit(), &format!("to:%22{address}%22"))
    }

    fn administrator(&self) -> (String, String) {
        (
            "admin@agora.example".to_owned(),
            "admin-dev-password".to_owned(),
        )
    }

    fn log(&self) -> String {
        self.run(&["logs", "--no-color", "--timestamps"])
    }

    fn is_one_process(&self) -> bool {
        false
    }

    fn kill(&mut self) {
        let mut kill = vec!["kill", "--signal", "KILL"];
        kill.extend(self.services());
        self.run(&kill);
    }

    fn restart(&mut self) {
        let mut start = vec!["start"];
        start.extend(self.services());
        self.run(&start);
        self.until_healthy();
    }

    fn stop(&mut self) -> Vec<Stopped> {
        self.services()
            .into_iter()
            .flat_map(|service| self.containers(service))
            .map(|container| self.stop_container(&container))
            .collect()
    }

    fn stop_max(&self) -> Duration {
        GRACE_PERIOD
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if let Some(stack) = self.stack.take()
            && let Err(error) = self.runtime.block_on(stack.down())
        {
            // Not lost: the guardian tries again.
            std::io::stderr()
                .write_fmt(format_args!("docker compose down: {error}\n"))
                .ok();
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("a workspace").to_owned()
}
