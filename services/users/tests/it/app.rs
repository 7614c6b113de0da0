//! The running service and what a test does with it.

use std::{net::SocketAddr, sync::OnceLock};

use chassis::{
    Fatal, Shutdown, config,
    telemetry::{self, LogFormat, RotatingFile, Telemetry, Writer},
};
use contracts::users::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, GetKeysRequest, GetUserRequest,
    GetUsersRequest, User, user_service_client::UserServiceClient,
};
use embedded::kafka::MockKafka;
use embedded::testing::{Process, TestDatabase};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use users::{Config, Listeners};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const ADMIN: &str = "admin@example.com";

/// Hashing that is quick enough for tests; nothing depends on what it costs.
const CHEAP_HASHES: [&str; 2] = ["--hash-memory-kib=64", "--hash-iterations=1"];

/// Sets up traces for this process, once; the log goes to a file that is gone with the process.
pub(crate) fn telemetry() {
    static GUARD: OnceLock<telemetry::Guard> = OnceLock::new();
    GUARD.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("users-test-{}.log", std::process::id()));
        let file = RotatingFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        telemetry::init(Telemetry {
            service: "users",
            log_format: LogFormat::default(),
            otlp_endpoint: None,
            writer: Writer::File(file),
        })
        .unwrap()
    });
}

/// A running service.
pub(crate) struct App {
    pub(crate) client: UserServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) grpc_url: String,
    pub(crate) admin_url: String,
    pub(crate) pool: PgPool,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Fatal>>,
}

/// What a service is started with.
pub(crate) struct Setup {
    pub(crate) database: TestDatabase,
    pub(crate) arguments: Vec<String>,
}

impl Setup {
    /// A database of its own, no Kafka, no orders service, and an admin.
    pub(crate) fn new() -> Self {
        Self::on(embedded::testing::fresh_database())
    }

    /// The same on a database that may hold something.
    pub(crate) fn on(database: TestDatabase) -> Self {
        let url = &database.url;
        let arguments = vec![
            "users".to_owned(),
            "--grpc-port=0".to_owned(),
            "--admin-port=0".to_owned(),
            format!("--database-url={url}"),
            // The same database holds the queue: its tables have names of their own.
            format!("--queue-database-url={url}"),
            // Nobody listens there.
            "--kafka-brokers=127.0.0.1:1".to_owned(),
            "--orders-url=http://127.0.0.1:1".to_owned(),
            format!("--admin-email={ADMIN}"),
            format!("--admin-password={PASSWORD}"),
        ];
        Self {
            database,
            arguments,
        }
        .with(CHEAP_HASHES)
    }

    /// With further arguments; those given last win.
    pub(crate) fn with<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        for argument in arguments.into_iter().map(Into::into) {
            let name = format!("{}=", argument.split('=').next().unwrap());
            self.arguments.retain(|earlier| !earlier.starts_with(&name));
            self.arguments.push(argument);
        }
        self
    }

    /// With these brokers.
    pub(crate) fn with_kafka(self, kafka: &MockKafka) -> Self {
        self.with([format!("--kafka-brokers={}", kafka.bootstrap_servers())])
    }

    /// Starts the service as a process of its own and waits until it is ready.
    pub(crate) async fn spawn(self) -> (Process, App) {
        let process = Process::start(env!("CARGO_BIN_EXE_users"), &self.arguments[1..]);
        let (grpc, admin) = (
            process.address("grpc").await,
            process.address("admin").await,
        );
        let running = tokio::spawn(std::future::pending());
        let app = App::at(grpc, admin, &self.database, Shutdown::manual(), running);
        process.until_ready().await;
        (process, app)
    }

    /// Starts the service and waits until it answers.
    pub(crate) async fn start(self) -> App {
        let app = self.launch().await;
        app.answers_when_ready().await;
        app
    }

    /// Starts the service.
    pub(crate) async fn launch(self) -> App {
        let config: Config = config::try_from_args(self.arguments).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let (grpc, admin) = (
            listeners.grpc.local_addr().unwrap(),
            listeners.admin.local_addr().unwrap(),
        );
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(users::run(config, listeners, shutdown.clone()));
        App::at(grpc, admin, &self.database, shutdown, running)
    }
}

impl App {
    fn at(
        grpc: SocketAddr,
        admin: SocketAddr,
        database: &TestDatabase,
        shutdown: Shutdown,
        running: JoinHandle<Result<(), Fatal>>,
    ) -> Self {
        let grpc_url = format!("http://{grpc}");
        let channel = Channel::from_shared(grpc_url.clone())
            .unwrap()
            .connect_lazy();
        Self {
            client: UserServiceClient::new(channel.clone()),
            channel,
            grpc_url,
            admin_url: format!("http://{admin}"),
            pool: PgPool::connect_lazy(&database.url).unwrap(),
            shutdown,
            running,
        }
    }

    /// A service on a database of its own.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    /// Waits for the first answer: the port is bound from the beginning, so a call waits for the service.
    async fn answers_when_ready(&self) {
        let mut client = self.client.clone();
        let answer = client.get_keys(GetKeysRequest {}).await.unwrap();
        assert!(!answer.into_inner().keys.is_empty());
    }

    /// Stops the service and returns how it ended.
    pub(crate) async fn stop(self) -> Result<(), Fatal> {
        self.shutdown.trigger();
        self.running.await.unwrap()
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Result<User, Status> {
        self.create_user(email, "Ada Lovelace", PASSWORD).await
    }

    pub(crate) async fn create_user(
        &self,
        email: &str,
        name: &str,
        password: &str,
    ) -> Result<User, Status> {
        let request = CreateUserRequest {
            email: email.to_owned(),
            name: name.to_owned(),
            password: password.to_owned(),
        };
        let answer = self.client.clone().create_user(request).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn authenticate(
        &self,
        email: &str,
        password: &str,
    ) -> Result<AuthenticateResponse, Status> {
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            expires_in: 0,
        };
        let answer = self.client.clone().authenticate(request).await?;
        Ok(answer.into_inner())
    }

    /// A token of the user with this email and the common password.
    pub(crate) async fn token(&self, email: &str) -> String {
        self.authenticate(email, PASSWORD)
            .await
            .unwrap()
            .access_token
    }

    pub(crate) async fn admin_token(&self) -> String {
        self.token(ADMIN).await
    }

    /// A new customer and their token.
    pub(crate) async fn customer(&self, email: &str) -> (User, String) {
        let user = self.sign_up(email).await.unwrap();
        (user, self.token(email).await)
    }

    pub(crate) async fn get_user(&self, token: &str, user_id: &str) -> Result<User, Status> {
        let request = GetUserRequest {
            user_id: user_id.to_owned(),
        };
        let answer = self
            .client
            .clone()
            .get_user(authorized(request, token))
            .await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn get_users(&self, token: &str, ids: &[&str]) -> Result<Vec<User>, Status> {
        let user_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let request = authorized(GetUsersRequest { user_ids }, token);
        let answer = self.client.clone().get_users(request).await?;
        Ok(answer.into_inner().users)
    }

    /// The number that one query answers.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

/// A request with this token; none for an empty one.
pub(crate) fn authorized<T>(message: T, token: &str) -> Request<T> {
    if token.is_empty() {
        return Request::new(message);
    }
    client::authorized(message, token)
}

/// The code and the fields that are wrong.
pub(crate) fn violations(status: &Status) -> (Code, Vec<(String, String)>) {
    let fields = status
        .get_details_bad_request()
        .map(|details| details.field_violations)
        .unwrap_or_default()
        .into_iter()
        .map(|violation| (violation.field, violation.description))
        .collect();
    (status.code(), fields)
}

/// Asserts that it is UNAVAILABLE and says when to try again.
#[track_caller]
pub(crate) fn assert_unavailable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let retry = status.get_details_retry_info();
    assert!(
        retry.is_some_and(|retry| retry.retry_delay.is_some()),
        "{status:?}"
    );
}
