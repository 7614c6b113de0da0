//! The catalogue, stock and reservations.
//!
//! Users browse it by REST, services request prices by gRPC, and orders arrive as events: each gets all of its lines or
//! none. Read the migrations for the stored data, [`domain`] for the rules, `events.rs` for how an order is answered.

mod config;
pub mod domain;
mod error;
mod events;
mod grpc;
mod housekeeping;
mod rest;
mod store;

use std::sync::Arc;

use chassis::{Base, Fatal, Shutdown, db, http, trace};
use client::watch_peers;
use contracts::clients::UsersKeys;
use contracts::identity;
use contracts::topics::ORDER_EVENTS;
use messaging::kafka::{self, ConsumerOptions, KafkaConfig, KafkaPublisher};
use messaging::{Router, Status, show_dead_letters, start_stream};
use outbox::{Consumers, Outbox};
use sqlx::PgPool;

use events::{GROUP, OrderEvents};

pub use config::Config;
pub use rest::{document, document_v2};

/// The service's name, in logs, metrics and spans.
const NAME: &str = "products";

chassis::listeners! {
    /// The ports of products.
    pub struct Listeners for Config {
        /// REST, for people.
        http: http_port,
        /// gRPC, for services.
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
    let kafka = base.health.dependency("kafka");
    let dead_letters = base.health.optional("dead letters");
    let keys = base.health.dependency("users");
    let (pool, postgres) = base.database(&config.database)?;
    let prepare = || store::prepare(&pool, config.catalogue_seed);
    let prepared = base.prepare(&pool, postgres, db::is_unavailable, prepare);
    if !prepared.await? {
        return base.stop().await;
    }

    let users = UsersKeys::new(config.users().with_faults(base.faults.clone()));
    watch_peers(&mut base, &[users.monitor()]);
    let verifier = base.verifier(identity::REALM, Arc::new(users), keys);
    let purge = housekeeping::purge(pool.clone(), config.inbox_retention, base.shutdown.token());
    base.tasks.spawn("housekeeping", purge);
    let (stream, outbox) = (config.kafka.config(NAME), Outbox::new());
    let (reading, publishing) = kafka.directions();
    let status = Status::new(publishing);
    publish_decisions(&mut base, &config, &pool, &outbox, &stream, status)?;
    let consumers = Consumers::of_service(pool.clone(), outbox);
    let options = config
        .kafka
        .consumer(NAME, GROUP, [ORDER_EVENTS], &dead_letters)?;
    take_orders(&mut base, &consumers, stream, options, Status::new(reading))?;

    let options = base.options(&config.server);
    let limits = config.server.limits()?;
    let routes = rest::router(pool.clone());
    let people = http::standard(base.service, rest::BODY_BYTES_MAX, limits.clone()).around(routes);
    let served = http::serve(
        listeners.http,
        people,
        options.clone(),
        base.shutdown.clone(),
    );
    base.tasks.spawn("http", served);
    let (services, serving) = grpc::router(base.service, pool, verifier, limits)?;
    let served = chassis::grpc::serve(listeners.grpc, services, options, base.shutdown.clone());
    base.tasks.spawn("grpc", served);
    let health = serving.follow(base.health.clone(), base.shutdown.clone());
    base.tasks.spawn("grpc health", health);
    base.run().await
}

/// Decisions about stock are sent through the outbox. Users can browse without the broker; that it does not take them is
/// reported.
fn publish_decisions(
    base: &mut Base,
    config: &Config,
    pool: &PgPool,
    outbox: &Outbox,
    stream: &KafkaConfig,
    status: Status,
) -> Result<(), Fatal> {
    let publisher = Arc::new(Router::topics_only(Arc::new(KafkaPublisher::new(stream)?)));
    let options = config.outbox.relay(trace::publish_span);
    outbox::start_relay(base, pool, outbox, publisher, options, status);
    Ok(())
}

/// Orders come in as events.
fn take_orders(
    base: &mut Base,
    consumers: &Consumers,
    stream: KafkaConfig,
    options: ConsumerOptions,
    status: Status,
) -> Result<(), Fatal> {
    let orders = consumers.idempotent(GROUP, OrderEvents);
    let parked = kafka::dead_letters_of(&stream, &options)?;
    show_dead_letters(&base.dead_letters, [parked]);
    start_stream(base, "order events", stream, options, orders, status);
    Ok(())
}
