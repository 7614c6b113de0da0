//! Accounts and identity, served over gRPC.
//!
//! `accounts.rs` contains sign-up and sign-in, [`keys`] signs tokens and rotates the keys, [`passwords`] keeps hashing
//! within its limits, [`turns`] decides whose password is hashed next, [`budgets`] limits failed attempts, and
//! [`listing`] streams all users without holding them in memory. Read the migrations for the stored data, [`domain`]
//! for the rules, `grpc.rs` for the interface.

pub mod accounts;
pub mod budgets;
mod config;
pub mod domain;
mod error;
mod events;
mod grpc;
pub mod keys;
pub mod listing;
pub mod origin;
pub mod passwords;
mod store;
pub mod turns;
mod upkeep;

use std::sync::Arc;

use chassis::{
    Base, Fatal, Shutdown,
    auth::{self, Verifier},
    db,
};
use client::watch_peers;
use contracts::clients::Orders;
use contracts::identity;
use messaging::{Router, Status, Watched, kafka::KafkaPublisher};
use outbox::Outbox;

use accounts::Accounts;
use budgets::Budgets;
use grpc::UserApi;
use keys::Keyring;
use passwords::Hasher;

pub use config::Config;
pub use error::Error;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "users";

/// Connections to the queue's database: only the relay uses them, for short times.
const QUEUE_CONNECTIONS: u32 = 2;

chassis::listeners! {
    /// The ports of users.
    pub struct Listeners for Config {
        /// gRPC.
        grpc: grpc_port,
    }
}

/// Runs the service until `shutdown`.
///
/// # Errors
/// Errors that do not pass by themselves; for all others it waits.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let service = identity::service(NAME);
    let mut base = Base::start(service, &config.service, listeners.admin, shutdown);
    // Optional: without a broker users can still sign up, and above all sign in.
    let (kafka, queue) = (base.health.optional("kafka"), base.health.optional("queue"));
    let (pool, postgres) = base.database(&config.database)?;
    let (keys, hashing) = (config.keys(), config.hashing());
    let accounts = Accounts {
        pool: pool.clone(),
        hasher: tokio::task::spawn_blocking(move || Hasher::new(&hashing)).await??,
        budgets: Budgets::new(config.budgets()),
        keyring: Keyring::new(pool.clone(), keys),
        outbox: Outbox::new(),
    };
    let admin = config.admin();
    let prepare = || accounts.prepare(admin.as_ref());
    let prepared = base.prepare(&pool, postgres, Error::is_unavailable, prepare);
    if !prepared.await? {
        return base.stop().await;
    }

    let orders = Orders::new(config.orders().with_faults(base.faults.clone()));
    watch_peers(&mut base, &[orders.monitor()]);
    let (keyring, stop) = (accounts.keyring.clone(), base.shutdown.token());
    let upkeep = upkeep::keep_keys(keyring, config.refresh(), stop);
    base.tasks.spawn("keys", upkeep);
    let (to_kafka, to_queue) = (kafka.reporter(), queue.reporter());
    let engines = (Status::new(to_kafka), Status::new(to_queue));
    publish_sign_ups(&mut base, &config, &accounts, engines)?;

    let verifier = Verifier::new(identity::REALM, Arc::new(accounts.keyring.clone()));
    let api = UserApi {
        accounts,
        orders,
        orders_patience: config.orders_client.deadline,
        proxies: config.server.trusted_proxies.clone(),
    };
    let standard = chassis::grpc::standard(base.service, grpc::methods()?, config.server.limits()?);
    let routes = grpc::routes(api).await?;
    let router = routes.layer(auth::layer(verifier)).layer(standard);
    let options = base.options(&config.server);
    let served = chassis::grpc::serve(listeners.grpc, router, options, base.shutdown.clone());
    base.tasks.spawn("grpc", served);
    base.run().await
}

/// New accounts are facts for the stream and work for the queue: one outbox with two destinations. Each of the two engines is
/// reported for itself; the relay's own status, which is of both, would not say which is away.
fn publish_sign_ups(
    base: &mut Base,
    config: &Config,
    accounts: &Accounts,
    (of_kafka, of_queue): (Status, Status),
) -> Result<(), Fatal> {
    let open = |url: &str| db::connect(url, QUEUE_CONNECTIONS, NAME);
    let queue = config.queue.open(NAME, open)?;
    let topics = Arc::new(KafkaPublisher::new(&config.kafka.config(NAME))?);
    let topics = Watched::new(topics, of_kafka);
    let queues = Watched::new(queue.clone(), of_queue);
    let publisher = Arc::new(Router::new(Arc::new(topics), Arc::new(queues)));
    let install = upkeep::install_queue(queue, base.shutdown.token());
    base.tasks.spawn("queue", install);
    let options = config.outbox.relay(chassis::trace::publish_span);
    let (pool, outbox) = (&accounts.pool, &accounts.outbox);
    outbox::start_relay(base, pool, outbox, publisher, options, Status::ignore());
    Ok(())
}
