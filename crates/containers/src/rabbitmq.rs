//! A RabbitMQ broker.

use std::time::Duration;

use testcontainers::core::{ExecCommand, IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;

use crate::authority::Authority;
use crate::docker;

const AMQP_PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// The one name that its certificate is for.
const TLS_NAME: &str = "localhost";
/// The listener beside the other one. It asks for no certificate of the client's.
const TLS_SETTINGS: &str = "listeners.ssl.default = 5671
ssl_options.cacertfile = /etc/rabbitmq/ca.crt
ssl_options.certfile = /etc/rabbitmq/tls.crt
ssl_options.keyfile = /etc/rabbitmq/tls.key
ssl_options.verify = verify_none
";
const START_TIMEOUT: Duration = Duration::from_secs(120);
const USER: &str = "owner";
/// Of a broker that lives for minutes on a port of this machine.
const PASSWORD: &str = "owner-test";
const VHOST: &str = "tests";

/// A broker with the virtual host `tests` and a user who may do everything in it.
///
/// All methods panic when docker does not do what it is told: the test cannot go on.
pub struct RabbitMq {
    container: ContainerAsync<GenericImage>,
    host: String,
    port: u16,
    tls_port: u16,
    authority: Authority,
}

impl RabbitMq {
    /// The broker of this process, for tests that keep to names of their own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<RabbitMq> = OnceCell::const_new();
        SHARED.get_or_init(Self::own).await
    }

    /// A broker for one test, on a port that it keeps when it is restarted.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn own() -> Self {
        let (port, tls_port) = (docker::free_port(), docker::free_port());
        let authority = Authority::new();
        let issued = authority.issue(TLS_NAME);
        let container = GenericImage::new("rabbitmq", "4-management")
            .with_wait_for(WaitFor::message_on_stdout("Server startup complete"))
            .with_mapped_port(port, AMQP_PORT.tcp())
            .with_mapped_port(tls_port, TLS_PORT.tcp())
            .with_copy_to(
                "/etc/rabbitmq/conf.d/30-tls.conf",
                TLS_SETTINGS.as_bytes().to_vec(),
            )
            .with_copy_to(
                "/etc/rabbitmq/ca.crt",
                authority.certificate().as_bytes().to_vec(),
            )
            .with_copy_to("/etc/rabbitmq/tls.crt", issued.certificate.into_bytes())
            .with_copy_to("/etc/rabbitmq/tls.key", issued.key.into_bytes())
            .with_env_var("RABBITMQ_DEFAULT_USER", USER)
            .with_env_var("RABBITMQ_DEFAULT_PASS", PASSWORD)
            .with_env_var("RABBITMQ_DEFAULT_VHOST", VHOST)
            .with_startup_timeout(START_TIMEOUT)
            .start()
            .await
            .expect("RabbitMQ starts");
        docker::keep(&container);
        let host = container.get_host().await.expect("docker's host");
        Self {
            container,
            host: host.to_string(),
            port,
            tls_port,
            authority,
        }
    }

    /// Where it is, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(USER, PASSWORD)
    }

    /// The same for another user of the virtual host.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!(
            "amqp://{user}:{password}@{}:{}/{VHOST}",
            self.host, self.port
        )
    }

    /// Where it is over TLS, by this name or address of this machine.
    #[must_use]
    pub fn tls_url(&self, host: &str) -> String {
        format!("amqps://{USER}:{PASSWORD}@{host}:{}/{VHOST}", self.tls_port)
    }

    /// Whose certificate it has: for the name `localhost`.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Adds a user who may configure, write and read what these patterns match, and answers with the URL.
    pub async fn add_user(&self, user: &str, [configure, write, read]: [&str; 3]) -> String {
        self.control(&["add_user", user, PASSWORD]).await;
        self.control(&["set_permissions", "-p", VHOST, user, configure, write, read])
            .await;
        self.url_of(user, PASSWORD)
    }

    /// Cuts all connections, as a network does.
    pub async fn cut_connections(&self) {
        self.control(&["close_all_connections", "--vhost", VHOST, "cut by a test"])
            .await;
    }

    /// Raises the alarm of a broker that is short of memory, or ends it. During the alarm it reads nothing from connections
    /// that publish.
    pub async fn alarm(&self, is_on: bool) {
        // The share of the machine's memory from which on it is short; RabbitMQ's own default is 0.6.
        let share = if is_on { "0.000001" } else { "0.6" };
        self.control(&["set_vm_memory_high_watermark", share]).await;
    }

    /// Stops it, as `docker stop` does; what it holds stays.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&self) {
        self.container.stop().await.expect("RabbitMQ stops");
    }

    /// Kills it: nothing is flushed, nobody is told; what it had on its disk stays.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill(&self) {
        let killed = self.container.stop_with_timeout(Some(0)).await;
        killed.expect("RabbitMQ is killed");
    }

    /// Starts it again. It takes some seconds more until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) {
        self.container.start().await.expect("RabbitMQ starts again");
    }

    async fn control(&self, arguments: &[&str]) {
        let command = ["rabbitmqctl", "--quiet"].iter().chain(arguments);
        let mut done = self
            .container
            .exec(ExecCommand::new(command.copied()))
            .await
            .expect("rabbitmqctl runs");
        let said = done.stderr_to_vec().await.unwrap_or_default();
        assert_eq!(
            done.exit_code().await.ok().flatten(),
            Some(0),
            "rabbitmqctl {arguments:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}
