//! The observatory: what happens between the services of a system, as it happens.
//!
//! It follows the `/hops` of every configured admin port (`follow`), assembles hops to traces in bounded memory (`domain`),
//! polls the state of the system while a client reads it (`watch`), and serves all of it as JSON and server-sent events
//! (`rest`). It knows nothing of the shop, and the shop nothing of it: its failure does not affect the other services.
//!
//! Architecture invariant: nothing that an admin port sends is trusted. It is parsed into bounded values at once; invalid input
//! is dropped.

mod config;
mod domain;
mod durations;
mod follow;
mod replicas;
mod rest;
mod sky;
mod switches;
mod text;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::{Base, Fatal, Shutdown, http};

pub use config::{Config, Observed};

use replicas::Replicas;
use sky::Sky;
use switches::Switches;

/// The service's name, in logs, metrics and spans.
const NAME: &str = "observatory";
/// The longest request body, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

chassis::listeners! {
    /// The ports of the observatory.
    pub struct Listeners for Config {
        /// Traces, state and switches, as JSON.
        http: http_port,
    }
}

/// Serves until the shutdown.
///
/// # Errors
/// One line if a part of the service fails, or if its port is not on the loopback interface and it has no token.
pub async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    guard(&config, listeners.http.local_addr()?)?;
    let mut base = Base::start(NAME, &config.service, listeners.admin, shutdown);
    let sky = Arc::new(Sky::new(config.traces_mib_max as usize * 1024 * 1024));
    let replicas = Arc::new(Replicas::new(
        &config.observed,
        config.observed_token.as_ref(),
    ));

    let switches = Arc::new(Switches::new(
        config.switches_url.as_ref(),
        config.observed_token.as_ref(),
    ));

    let following = follow::all(
        Arc::clone(&replicas),
        Arc::clone(&sky),
        base.shutdown.clone(),
    );
    base.tasks.spawn("follow", following);
    let watched = watch::Watch::new(
        Arc::clone(&replicas),
        Arc::clone(&switches),
        Arc::clone(&sky),
    );
    let watching = watched.clone().keep(base.shutdown.clone());
    base.tasks.spawn("watch", watching);

    let parts = rest::Parts {
        sky,
        replicas,
        switches,
        watch: watched,
        shutdown: base.shutdown.clone(),
    };
    let routes = rest::router(parts, &config);
    let router = http::standard(base.service, BODY_LIMIT, config.server.limits()?)
        .unseen()
        .around(routes);
    let options = base.options(&config.server);
    let served = http::serve(listeners.http, router, options, base.shutdown.clone());
    base.tasks.spawn("http", served);
    base.run().await
}

/// Requests to this port bypass the gateway, so a token is required unless the port is on the loopback interface. The bound
/// address is checked, since BIND_HOST may be a name.
fn guard(config: &Config, door: SocketAddr) -> Result<(), Fatal> {
    if door.ip().to_canonical().is_loopback() || config.observatory_token.is_some() {
        return Ok(());
    }
    Err(Fatal::new(format!(
        "OBSERVATORY_TOKEN (or --observatory-token) is missing: at {door} others than this machine could read what everybody \
         does, and press switches; set it here and for the gateway (`openssl rand -hex 24` makes one), or bind to 127.0.0.1 \
         (BIND_HOST)"
    )))
}
