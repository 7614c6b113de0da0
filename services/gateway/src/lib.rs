//! The gateway: the only public door.
//!
//! It answers what needs several services or another protocol (users and sessions over gRPC, the dashboard) and passes on
//! all other requests unchanged (`proxy.rs`). It stores nothing durable, so any number of gateways can run side by side.
//!
//! Architecture invariant: no service behind trusts the gateway. It refuses invalid tokens early where a caller is needed,
//! and every service checks them again.

mod config;
mod documents;
mod error;
mod graphql;
mod layers;
mod limits;
mod page;
mod proxy;
mod rest;
mod routes;
mod successors;
mod tags;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::admin::HostName;
use chassis::http::{self, streams::Streams};
use chassis::{Base, Fatal, Shutdown};
use client::{HttpPool, watch_peers};
use contracts::clients::{Catalog, Orders, Products, Users, UsersKeys};
use contracts::identity;

pub use config::Config;
pub use documents::{PassedOn, openapi};
pub use graphql::sdl;
pub use limits::{Exceeded, Limiter, PURGE_INTERVAL, SLOTS};
pub use page::TOUR;
pub use routes::{ROUTES_MAX, Route, Routes, Upstream};
pub use versions::Version;

use graphql::Services;
use proxy::Behind;
use proxy::observatory::Observatory;
use rest::{Gateway, Jwks};
use successors::Successors;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "gateway";
/// The longest request body, in bytes.
pub const BODY_LIMIT: usize = contracts::limits::BODY_BYTES_MAX;

chassis::listeners! {
    /// The ports of the gateway.
    pub struct Listeners for Config {
        /// The public API.
        http: http_port,
    }
}

/// Serves until the shutdown, and then until the requests in progress are answered.
///
/// # Errors
/// One line if a part of the service fails.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let service = identity::service(NAME);
    let mut base = Base::start(service, &config.service, listeners.admin, shutdown);
    let keys = base.health.dependency("users");
    let (behind, services) = clients(&mut base, &config);
    let source = Arc::new(UsersKeys::over(services.users.clone()));
    let verifier = base.verifier(identity::REALM, source.clone(), keys);

    let gateway = gateway(&config, &services, source);
    let limits = config.limits();
    let purge = limits.clone().purge(base.shutdown.clone());
    base.tasks.spawn("limits", purge);

    let streams = config
        .streams
        .places(NAME, &config.server, base.shutdown.clone());
    let versions = config.versions();
    let proxies = &config.server.trusted_proxies;
    let passed_on = proxy::router(&versions, &behind, proxies, &streams);
    let observatory = observatory(&config, listeners.http.local_addr()?, &streams);
    let documents = documents::router(&versions)?;
    let open = rest::open(Arc::clone(&gateway))
        .merge(documents)
        .merge(page::router());
    let graphql = graphql::router(
        services,
        Arc::clone(&gateway),
        config.graphql(),
        streams,
        verifier.clone(),
        limits.clone(),
    );
    let guarded = rest::guarded(gateway).merge(graphql).merge(passed_on);
    let routes = layers::around(open, guarded, verifier.clone(), limits);
    let door = http::standard(service, BODY_LIMIT, config.server.limits()?)
        .outer()
        .marking(Successors::of(&versions).mark());
    let mut router = door.clone().around(routes);
    if let Some(observatory) = observatory {
        let observed = proxy::observatory::router(observatory, verifier);
        router = router.merge(door.unseen().around(observed));
    }
    let options = base.options(&config.server);
    let served = http::serve(listeners.http, router, options, base.shutdown.clone());
    base.tasks.spawn("http", served);
    base.run().await
}

/// One client for each peer, shared by all modules that call it, since limits and breaker belong to the peer.
fn clients(base: &mut Base, config: &Config) -> (Behind, Services) {
    let faults = || base.faults.clone();
    let users = Users::new(config.users().with_faults(faults()));
    let behind = Behind {
        orders: HttpPool::new(config.orders().with_faults(faults())),
        products: HttpPool::new(config.products().with_faults(faults())),
    };
    let catalog = Catalog::new(config.catalog().with_faults(faults()));
    let (orders, products) = (behind.orders.monitor(), behind.products.monitor());
    let monitors = [users.monitor(), orders, products, catalog.monitor()];
    watch_peers(base, &monitors);
    let services = Services {
        users,
        orders: Orders::over(behind.orders.clone()),
        products: Products::over(behind.products.clone()),
        catalog,
    };
    (behind, services)
}

/// The state of the gateway's own REST routes.
fn gateway(config: &Config, services: &Services, keys: Arc<UsersKeys>) -> Arc<Gateway> {
    Arc::new(Gateway {
        users: services.users.clone(),
        orders: services.orders.clone(),
        products: services.products.clone(),
        jwks: Jwks::new(keys),
        proxies: config.server.trusted_proxies.clone(),
        dashboard_deadline: config.dashboard_deadline,
    })
}

/// The route to the observatory, if one is configured. It is open if only clients on this machine can reach it: if the door is
/// on the loopback interface and no proxy is configured.
fn observatory(config: &Config, door: SocketAddr, streams: &Streams) -> Option<Observatory> {
    let is_here = door.ip().to_canonical().is_loopback();
    let is_alone = config.server.trusted_proxies.is_empty();
    let is_unnamed = config.observatory_hosts.iter().all(HostName::is_loopback);
    config.observatory().map(|peer| Observatory {
        pool: HttpPool::new(peer),
        hosts: config.observatory_hosts.clone(),
        token: config.observatory_token.clone(),
        for_this_machine: is_here && is_alone && is_unnamed,
        proxies: config.server.trusted_proxies.clone(),
        streams: streams.clone(),
    })
}
