//! The catalogue, stock and reservations.
//!
//! People browse it by REST, services ask it for prices by gRPC, and orders reach it as events: each
//! gets all of its lines or none. Read the migrations for what is remembered, [`domain`] for the rules,
//! `events.rs` for how an order is answered.

mod config;
pub mod domain;
mod error;
mod events;
mod grpc;
mod housekeeping;
mod listeners;
mod rest;
mod store;

use std::sync::Arc;

use chassis::admin::Clients;
use chassis::auth::Verifier;
use chassis::health::Health;
use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown, admin, db, http};
use contracts::clients::{UsersKeys, list_peers, report_lookups};
use contracts::topics::ORDER_EVENTS;
use messaging::Router;
use messaging::kafka::{self, ConsumerOptions, KafkaConfig, KafkaPublisher};
use outbox::{Outbox, RelayOptions};

use events::{GROUP, OrderEvents};

pub use config::Config;
pub use listeners::Listeners;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "products";

/// Runs the service until `shutdown`.
///
/// # Errors
/// What the service cannot run with. Nothing that can pass by itself: it waits for those.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let health = Health::new(NAME);
    let postgres = health.dependency("postgres");
    let kafka = health.dependency("kafka");
    let keys = health.dependency("users");
    let (clients, faults) = (Clients::new(), config.service.faults());
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn(
        "admin",
        admin::serve(
            listeners.admin,
            config.service.admin_access(),
            health.clone(),
            admin::controls(NAME, clients.clone(), faults.clone()),
            shutdown.clone(),
        ),
    );

    let pool = db::connect(
        &config.database.database_url,
        config.database.max_connections,
        NAME,
    )?;
    db::until_available(&postgres, &shutdown, db::is_unavailable, || {
        store::prepare(&pool, config.catalogue_seed)
    })
    .await?;
    if shutdown.is_triggered() {
        return tasks.join(config.service.shutdown_deadline).await;
    }
    tasks.spawn(
        "database watch",
        db::watch(pool.clone(), postgres, shutdown.clone()),
    );
    tasks.spawn(
        "housekeeping",
        housekeeping::purge(pool.clone(), config.inbox_retention, shutdown.token()),
    );

    let users = UsersKeys::new(config.users().with_faults(faults));
    let peers = [users.monitor()];
    list_peers(&clients, &peers);
    tasks.spawn(
        "lookups",
        report_lookups(health.clone(), peers, shutdown.clone()),
    );
    let verifier = Verifier::new(Arc::new(users));
    tasks.spawn("keys", verifier.clone().keep_fresh(keys, shutdown.clone()));

    // Orders come in, decisions about stock go out through the outbox.
    let stream = KafkaConfig {
        fetch_wait: config.kafka.kafka_fetch_wait,
        ..KafkaConfig::new(&config.kafka.kafka_brokers, NAME).with_account(config.kafka.account())
    };
    let outbox = Outbox::new();
    let publisher = Arc::new(Router::topics_only(Arc::new(KafkaPublisher::new(&stream)?)));
    let relay = RelayOptions {
        poll: config.outbox.outbox_poll,
        replay_window: config.outbox.outbox_replay_window,
        ..RelayOptions::default()
    };
    // Not part of readiness: the consumer reports the same broker, and people can browse without it.
    let relay_status = messaging::Status::ignore();
    tasks.spawn(
        "outbox relay",
        outbox::relay(
            pool.clone(),
            outbox.clone(),
            publisher,
            relay,
            relay_status,
            shutdown.token(),
        ),
    );
    let orders = Arc::new(OrderEvents::new(pool.clone(), outbox));
    let options = ConsumerOptions::new(GROUP, [ORDER_EVENTS]);
    let (status, token) = (messaging::Status::new(kafka.reporter()), shutdown.token());
    tasks.spawn("order events", async move {
        kafka::consume(&stream, options, orders, status, token).await
    });

    let options = config.door.options(config.service.shutdown_deadline);
    let limits = config.door.limits()?;
    let people = http::standard(
        NAME,
        rest::router(pool.clone()),
        rest::BODY_BYTES_MAX,
        limits.clone(),
    );
    tasks.spawn(
        "http",
        http::serve(listeners.http, people, options.clone(), shutdown.clone()),
    );
    let (services, serving) = grpc::router(pool, verifier, limits)?;
    tasks.spawn(
        "grpc",
        chassis::grpc::serve(listeners.grpc, services, options, shutdown.clone()),
    );
    tasks.spawn(
        "grpc health",
        serving.follow(health.clone(), shutdown.clone()),
    );

    health.ready();
    tasks.join(config.service.shutdown_deadline).await
}
