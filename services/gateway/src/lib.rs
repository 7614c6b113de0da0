//! The gateway: the only public door.
//!
//! It answers what is made of several services or of another protocol (users and sessions over gRPC, the
//! dashboard) and passes the rest on as it is (`proxy.rs`). It owns nothing durable, so any number of
//! gateways can stand side by side.
//!
//! Architecture invariant: no service behind trusts the gateway. It refuses bad tokens early where
//! a caller is needed, and every service checks them again.

mod config;
mod door;
mod error;
mod limits;
mod listeners;
mod proxy;
mod rest;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use chassis::admin::Clients;
use chassis::auth::Verifier;
use chassis::health::Health;
use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown, admin, http};
use client::HttpPool;
use contracts::clients::{Orders, Products, Users, UsersKeys, list_peers, report_lookups};
use contracts::identity;

pub use config::Config;
pub use limits::{Exceeded, Limiter, PURGE_INTERVAL, SLOTS};
pub use listeners::Listeners;
pub use routes::{ROUTES_MAX, Route, Routes, Upstream};

use limits::layer::Limits;
use limits::turns::Turns;
use proxy::Behind;
use rest::{Gateway, Jwks, ROOTS};

/// Its name in logs, metrics and traces.
pub const SERVICE: &str = "gateway";
/// Longest request body, in bytes.
pub const BODY_LIMIT: usize = contracts::limits::BODY_BYTES_MAX;
/// What the tasks get beyond the server's own deadline to end.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until the shutdown and then until the requests under way are answered.
///
/// # Errors
/// One line if a part of the service failed.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let health = Health::new(identity::service(SERVICE));
    let deadline = config.service.shutdown_deadline;
    let clients = config
        .client_limit()
        .map(|rate| Arc::new(Limiter::per_second("requests", rate)));
    let faults = config.service.faults();
    // One client for each peer, whoever of us calls it: its limits and its breaker are the peer's.
    let users = Users::new(config.users().with_faults(faults.clone()));
    let behind = Behind {
        orders: HttpPool::new(config.orders().with_faults(faults.clone())),
        products: HttpPool::new(config.products().with_faults(faults.clone())),
    };
    let peers = [
        users.monitor(),
        behind.orders.monitor(),
        behind.products.monitor(),
    ];
    let controls = Clients::new();
    list_peers(&controls, &peers);
    let keys = Arc::new(UsersKeys::over(users.clone()));
    let verifier = Verifier::new(identity::REALM, keys.clone());
    let gateway = Arc::new(Gateway {
        users,
        orders: Orders::over(behind.orders.clone()),
        products: Products::over(behind.products.clone()),
        jwks: Jwks::new(keys),
        proxies: config.door.trusted_proxies.clone(),
        dashboard_deadline: config.dashboard_deadline,
    });

    let open = rest::open(Arc::clone(&gateway));
    let guarded = rest::guarded(gateway).merge(proxy::router(
        &config.gateway_routes,
        &behind,
        &ROOTS,
        &config.door.trusted_proxies,
    ));
    let limits = Limits {
        requests: clients.clone(),
        turns: Arc::new(Turns::new(config.client_places)),
        proxies: config.door.trusted_proxies.clone(),
    };
    let router = door::build(open, guarded, verifier.clone(), limits);
    let router = http::outer(
        identity::service(SERVICE),
        router,
        BODY_LIMIT,
        config.door.limits()?,
    );
    let door = http::Options {
        problem_types: identity::PROBLEM_TYPES,
        ..config.door.options(deadline)
    };

    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn(
        "keys",
        verifier.keep_fresh(health.dependency("users"), shutdown.clone()),
    );
    tasks.spawn(
        "lookups",
        report_lookups(health.clone(), peers, shutdown.clone()),
    );
    tasks.spawn("limits", purge(clients, shutdown.clone()));
    tasks.spawn(
        "admin",
        admin::serve(
            listeners.admin,
            config.service.admin_access(),
            health.clone(),
            admin::controls(identity::service(SERVICE), controls, faults),
            shutdown.clone(),
        ),
    );
    tasks.spawn("http", http::serve(listeners.http, router, door, shutdown));
    health.ready();
    tasks.join(deadline + GRACE).await
}

/// Forgets clients that were not seen for a while.
async fn purge(limiter: Option<Arc<Limiter>>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PURGE_INTERVAL) => limiter.iter().for_each(|limiter| limiter.purge()),
        }
    }
}
