//! Orders and their saga, served over REST.
//!
//! `POST /v1/orders` asks the catalogue for prices and writes the order with its event in one
//! transaction; products answers over Kafka whether there is stock, and that decides the order. Read the
//! migrations for the stored data, [`domain`] for the rules, `use_cases/` for what can be done with an order, `rest.rs`,
//! `stock_events.rs` and `saga.rs` for what calls them, `events.rs` for the published events.

mod app;
mod batch;
mod config;
pub mod domain;
mod error;
mod events;
mod housekeeping;
mod idempotency;
mod live;
mod request;
mod rest;
mod saga;
mod sse;
mod stock_events;
mod store;
mod use_cases;
mod view;

use std::sync::Arc;

use chassis::{Base, Fatal, Shutdown, auth, db, http, trace};
use client::watch_peers;
use contracts::clients::{Catalog, UsersKeys};
use contracts::identity;
use contracts::topics::STOCK_EVENTS;
use messaging::kafka::{self, ConsumerOptions, KafkaConfig, KafkaPublisher};
use messaging::{Router, Status, show_dead_letters, start_stream};
use outbox::{Consumers, Outbox, RelayOptions};
use sqlx::PgPool;

use app::App;
use events::GROUP;
use idempotency::Running;
use live::Live;
use stock_events::StockEvents;
use store::Placer;

pub use config::Config;
pub use rest::{document, document_v2};

/// The service's name, in logs, metrics and spans.
const NAME: &str = "orders";

chassis::listeners! {
    /// The ports of orders.
    pub struct Listeners for Config {
        /// REST.
        http: http_port,
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
    let prepare = || store::prepare(&pool);
    let prepared = base.prepare(&pool, postgres, db::is_unavailable, prepare);
    if !prepared.await? {
        return base.stop().await;
    }

    let users = UsersKeys::new(config.users().with_faults(base.faults.clone()));
    let catalog = Catalog::new(config.products().with_faults(base.faults.clone()));
    watch_peers(&mut base, &[users.monitor(), catalog.monitor()]);
    let verifier = base.verifier(identity::REALM, Arc::new(users), keys);
    let app = app(&base, &config, pool.clone(), catalog);
    let stream = config.kafka.config(NAME);
    let (reading, publishing) = kafka.directions();
    publish_facts(&mut base, &config, &app, &stream, Status::new(publishing))?;
    let options = config
        .kafka
        .consumer(NAME, GROUP, [STOCK_EVENTS], &dead_letters)?;
    take_decisions(&mut base, &app, stream, options, Status::new(reading))?;
    let (tasks, stop) = (&mut base.tasks, base.shutdown.token());
    // Requests stock again for orders whose answer is overdue.
    let deadlines = saga::watch_deadlines(app.clone(), stop.clone());
    tasks.spawn("saga deadlines", deadlines);
    let changes = live::follow(app.live.clone(), pool.clone(), stop.clone());
    tasks.spawn("order changes", changes);
    let purge = housekeeping::purge(pool, config.retention(), stop);
    tasks.spawn("housekeeping", purge);

    let routes = rest::router(app).layer(auth::layer(verifier));
    let router =
        http::standard(base.service, rest::BODY_LIMIT, config.server.limits()?).around(routes);
    let options = base.options(&config.server);
    let served = http::serve(listeners.http, router, options, base.shutdown.clone());
    base.tasks.spawn("http", served);
    base.run().await
}

/// The state of the use cases.
fn app(base: &Base, config: &Config, pool: PgPool, catalog: Catalog) -> App {
    let stop = base.shutdown.clone();
    let outbox = Outbox::new();
    App {
        placer: Arc::new(Placer::new(pool.clone(), outbox.clone())),
        pool,
        outbox,
        catalog,
        running: Running::default(),
        placed_versions: config.order_placed_versions,
        saga_deadline: config.saga_deadline,
        cancel_window: config.cancel_window,
        cancel_margin: config.server.request_timeout,
        live: Live::default(),
        streams: config.streams.places(NAME, &config.server, stop),
        heartbeat: config.events_heartbeat,
    }
}

/// Facts are sent through the outbox. Orders are accepted while the broker is unavailable; its outage is reported.
fn publish_facts(
    base: &mut Base,
    config: &Config,
    app: &App,
    stream: &KafkaConfig,
    status: Status,
) -> Result<(), Fatal> {
    let publisher = Arc::new(Router::topics_only(Arc::new(KafkaPublisher::new(stream)?)));
    let options = RelayOptions {
        published: events::published,
        ..config.outbox.relay(trace::publish_span)
    };
    outbox::start_relay(base, &app.pool, &app.outbox, publisher, options, status);
    Ok(())
}

/// Consumes the decisions about stock.
fn take_decisions(
    base: &mut Base,
    app: &App,
    stream: KafkaConfig,
    options: ConsumerOptions,
    status: Status,
) -> Result<(), Fatal> {
    let consumers = Consumers::of_service(app.pool.clone(), app.outbox.clone());
    let decisions = consumers.idempotent(GROUP, StockEvents(app.clone()));
    let parked = kafka::dead_letters_of(&stream, &options)?;
    show_dead_letters(&base.dead_letters, [parked]);
    start_stream(base, "stock events", stream, options, decisions, status);
    Ok(())
}
