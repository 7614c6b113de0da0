//! Accounts and identity, served over gRPC.
//!
//! `accounts.rs` signs up and signs in, [`keys`] signs tokens and is rotated, [`passwords`] keeps hashing
//! within its limits, [`turns`] says whose is next and [`budgets`] how often somebody may be wrong, [`listing`] streams everybody without holding everybody. Read the migrations for
//! what is kept, [`domain`] for the rules, `grpc.rs` for the way in.

pub mod accounts;
pub mod budgets;
mod config;
pub mod domain;
mod error;
mod events;
mod grpc;
pub mod keys;
mod listeners;
pub mod listing;
pub mod origin;
pub mod passwords;
mod store;
pub mod turns;
mod upkeep;

use std::sync::Arc;

use chassis::{
    Fatal, Shutdown,
    admin::{self, Clients},
    auth::{self, Verifier},
    db, grpc as door,
    health::Health,
    tasks::Tasks,
};
use contracts::clients::{Orders, list_peers, report_lookups};
use messaging::{
    Queue, Router, Status,
    kafka::{KafkaConfig, KafkaPublisher},
};
use outbox::{Outbox, RelayOptions};

use accounts::Accounts;
use budgets::Budgets;
use grpc::UserApi;
use keys::Keyring;
use passwords::Hasher;

pub use config::Config;
pub use error::Error;
pub use listeners::Listeners;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "users";

/// Connections to the queue's database: only the relay uses them, for moments.
const QUEUE_CONNECTIONS: u32 = 2;

/// Runs the service until `shutdown`.
///
/// # Errors
/// What the service cannot run with. Nothing that can pass by itself: it waits for those.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let health = Health::new(NAME);
    let (postgres, brokers) = (health.dependency("postgres"), health.optional("brokers"));
    let (clients, faults) = (Clients::new(), config.service.faults());
    let mut tasks = Tasks::new(shutdown.clone());
    let admin = admin::serve(
        listeners.admin,
        config.service.admin_access(),
        health.clone(),
        admin::controls(NAME, clients.clone(), faults.clone()),
        shutdown.clone(),
    );
    tasks.spawn("admin", admin);

    let (keys, hashing) = (config.keys(), config.hashing());
    let pool = db::connect(
        &config.database.database_url,
        config.database.max_connections,
        NAME,
    )?;
    let accounts = Accounts {
        pool: pool.clone(),
        hasher: tokio::task::spawn_blocking(move || Hasher::new(&hashing)).await??,
        budgets: Budgets::new(config.budgets()),
        keyring: Keyring::new(pool.clone(), keys),
        outbox: Outbox::new(),
    };
    let first_admin = config
        .admin_email
        .clone()
        .zip(config.admin_password.clone());
    db::until_available(&postgres, &shutdown, Error::is_unavailable, || {
        accounts.prepare(first_admin.as_ref())
    })
    .await?;
    if shutdown.is_triggered() {
        // Told to stop while it waited for its database: there is nothing to drain.
        return tasks.join(config.service.shutdown_deadline).await;
    }
    tasks.spawn(
        "database watch",
        db::watch(pool.clone(), postgres, shutdown.clone()),
    );
    let upkeep = upkeep::keep_keys(accounts.keyring.clone(), config.refresh(), shutdown.token());
    tasks.spawn("keys", upkeep);

    let (queue, publisher) = ways_out(&config)?;
    tasks.spawn("queue", upkeep::install_queue(queue, shutdown.token()));
    let relay = RelayOptions {
        poll: config.outbox.outbox_poll,
        replay_window: config.outbox.outbox_replay_window,
        ..RelayOptions::default()
    };
    // While a broker is away people sign up all the same, and sign in above all.
    let status = Status::new(brokers.reporter());
    let outbox = accounts.outbox.clone();
    tasks.spawn(
        "outbox relay",
        outbox::relay(pool, outbox, publisher, relay, status, shutdown.token()),
    );

    let verifier = Verifier::new(Arc::new(accounts.keyring.clone()));
    let orders = Orders::new(config.orders().with_faults(faults));
    let peers = [orders.monitor()];
    list_peers(&clients, &peers);
    tasks.spawn(
        "lookups",
        report_lookups(health.clone(), peers, shutdown.clone()),
    );
    let routes = grpc::routes(UserApi {
        accounts,
        orders,
        orders_patience: config.orders_client.deadline,
        proxies: config.door.trusted_proxies.clone(),
    })
    .await?;
    let router = routes.layer(auth::layer(verifier)).layer(door::standard(
        NAME,
        grpc::methods()?,
        config.door.limits()?,
    ));
    let options = config.door.options(config.service.shutdown_deadline);
    tasks.spawn(
        "grpc",
        door::serve(listeners.grpc, router, options, shutdown.clone()),
    );

    health.ready();
    tasks.join(config.service.shutdown_deadline).await
}

/// New accounts are facts for the stream and work for the queue: one outbox, two ways out of it.
fn ways_out(config: &Config) -> Result<(Arc<dyn Queue>, Arc<Router>), Fatal> {
    let stream = KafkaConfig {
        fetch_wait: config.kafka.kafka_fetch_wait,
        ..KafkaConfig::new(&config.kafka.kafka_brokers, NAME).with_account(config.kafka.account())
    };
    let broker = config.queue.amqp_url.as_deref();
    let queue = messaging::open_queue(broker, NAME, || {
        db::connect(config.queue.database()?, QUEUE_CONNECTIONS, NAME)
    })?;
    let topics = Arc::new(KafkaPublisher::new(&stream)?);
    let router = Router::new(topics, queue.clone());
    Ok((queue, Arc::new(router)))
}
