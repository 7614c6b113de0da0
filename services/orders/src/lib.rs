//! Orders and their saga, served over REST.
//!
//! `POST /v1/orders` asks the catalogue for prices and writes the order with its event in one
//! transaction; products answers over Kafka whether there is stock, and that decides the order. Read the
//! migrations for what is kept, [`domain`] for the rules, `use_cases/` for what can be done with an order, `rest.rs`,
//! `stock_events.rs` and `saga.rs` for the ways in, `events.rs` for what is told.

mod app;
mod config;
pub mod domain;
mod error;
mod events;
mod housekeeping;
mod idempotency;
mod listeners;
mod request;
mod rest;
mod saga;
mod stock_events;
mod store;
mod use_cases;
mod view;

use std::sync::Arc;

use chassis::admin::Clients;
use chassis::auth::{self, Verifier};
use chassis::health::Health;
use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown, admin, db, http};
use contracts::clients::{Catalog, UsersKeys, list_peers, report_lookups};
use contracts::topics::STOCK_EVENTS;
use messaging::Router;
use messaging::kafka::{self, ConsumerOptions, KafkaConfig, KafkaPublisher};
use outbox::{Outbox, RelayOptions};

use app::App;
use events::GROUP;
use housekeeping::Retention;
use idempotency::Running;
use stock_events::StockEvents;

pub use config::Config;
pub use listeners::Listeners;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "orders";

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
        store::prepare(&pool)
    })
    .await?;
    if shutdown.is_triggered() {
        return tasks.join(config.service.shutdown_deadline).await;
    }
    tasks.spawn(
        "database watch",
        db::watch(pool.clone(), postgres, shutdown.clone()),
    );

    let users = UsersKeys::new(config.users().with_faults(faults.clone()));
    let catalog = Catalog::new(config.products().with_faults(faults));
    let peers = [users.monitor(), catalog.monitor()];
    list_peers(&clients, &peers);
    tasks.spawn(
        "lookups",
        report_lookups(health.clone(), peers, shutdown.clone()),
    );
    let verifier = Verifier::new(Arc::new(users));
    tasks.spawn("keys", verifier.clone().keep_fresh(keys, shutdown.clone()));

    // Facts go out through the outbox, decisions about stock come in, and late ones are asked for again.
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
    // Not part of readiness: while the broker is away orders are taken all the same, and wait here.
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
    let app = App {
        pool: pool.clone(),
        outbox,
        catalog,
        running: Running::default(),
        saga_deadline: config.saga_deadline,
        cancel_window: config.cancel_window,
    };
    let decisions = StockEvents::new(app.clone());
    let options = ConsumerOptions::new(GROUP, [STOCK_EVENTS]);
    let (status, token) = (messaging::Status::new(kafka.reporter()), shutdown.token());
    tasks.spawn("stock events", async move {
        kafka::consume(&stream, options, decisions, status, token).await
    });
    tasks.spawn(
        "saga deadlines",
        saga::watch_deadlines(app.clone(), shutdown.token()),
    );
    let keep = Retention {
        idempotency_keys: config.idempotency_retention,
        inbox: config.inbox_retention,
    };
    tasks.spawn(
        "housekeeping",
        housekeeping::purge(pool, keep, shutdown.token()),
    );

    let routes = rest::router(app).layer(auth::layer(verifier));
    let door = http::standard(NAME, routes, rest::BODY_LIMIT, config.door.limits()?);
    let options = config.door.options(config.service.shutdown_deadline);
    tasks.spawn(
        "http",
        http::serve(listeners.http, door, options, shutdown.clone()),
    );

    health.ready();
    tasks.join(config.service.shutdown_deadline).await
}
