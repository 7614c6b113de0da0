//! A sidecar's configuration, made from the table of who may call whom.
//!
//! A service and its sidecar share a network namespace. The service listens on the loopback and calls the loopback:
//!
//! ```text
//!  orders ──▶ 127.0.0.1:50052 ── its sidecar ══ TLS 1.3 ══▶ 0.0.0.0:60052 ── sidecar ──▶ 127.0.0.1:50052 products
//!             `outbound.rs`                                 `inbound.rs`
//! ```
//!
//! | where | what |
//! |---|---|
//! | `inbound.rs` | the doors of the service: who may come in |
//! | `outbound.rs` | the peers that it may call: balancing, retries, limits |
//! | `http.rs` | what both have: how long a stream may rest, what is logged |
//! | `tls.rs` | identities, on both sides |
//! | `admin.rs` | the sidecar's own state and its metrics |
//!
//! JSON, which Envoy reads as well as YAML. The files in `deploy/mesh/envoy` are what this makes; a test compares them.

mod admin;
mod http;
mod inbound;
mod outbound;
mod tls;

use chassis::output::{self, PrintError};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use crate::table::{SERVICES, called_by, doors_of};
use outbound::Route;

pub use tls::{authorities, identity};

/// The most connections that a sidecar accepts, from its service and from others.
const CONNECTIONS_MAX: u32 = 8_192;
/// How many requests of a connection have to be over before Envoy ends it because more than half of them were cancelled within a second, its
/// answer to strangers who do that all the time: never. Who connects is of the mesh, and on its one connection are the requests of all
/// customers. Those who go away would end those of all others.
const REQUESTS_BEFORE_CANCELLED_COUNT: u32 = 1_000_000_000;

/// Whose configuration is printed.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The service.
    #[arg(value_parser = PossibleValuesParser::new(SERVICES))]
    service: String,
}

/// Prints a service's configuration.
///
/// # Errors
/// [`PrintError`].
pub fn print(config: &Config) -> Result<(), PrintError> {
    output::print(&format!("{:#}\n", bootstrap(&config.service)))
}

/// The configuration of a service's sidecars: all instances have the same.
#[must_use]
pub fn bootstrap(service: &str) -> Value {
    let routes = called_by(service).flat_map(|door| outbound::routes_to(&door));
    let routes: Vec<Route> = routes.collect();
    sidecar(service, &routes)
}

/// That of the observatory's sidecar in a cluster, where admin ports are asked at the addresses of their pods: it leads to no peer, and
/// looks up no name of an instance, which only containers have.
#[must_use]
pub fn bootstrap_in_a_cluster() -> Value {
    sidecar("observatory", &[])
}

/// The configuration of a sidecar that leads to these peers.
fn sidecar(service: &str, routes: &[Route]) -> Value {
    let mut listeners = vec![admin::metrics_listener()];
    let mut clusters = vec![admin::cluster()];
    for door in doors_of(service) {
        listeners.push(inbound::listener(&door));
        clusters.push(inbound::cluster(&door));
    }
    for route in routes {
        listeners.push(outbound::listener(service, route));
        clusters.push(outbound::cluster(route));
    }
    json!({
        "node": {"id": service, "cluster": service},
        "admin": admin::admin(),
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "layered_runtime": {"layers": [{
            "name": "static",
            "static_layer": {"overload.premature_reset_total_stream_count": REQUESTS_BEFORE_CANCELLED_COUNT},
        }]},
        "overload_manager": {
            "resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": CONNECTIONS_MAX,
                },
            }],
        },
    })
}

/// An address to listen on, or to connect to.
fn address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// The only endpoint of a cluster.
fn endpoint(cluster: &str, host: &str, port: u16) -> Value {
    json!({
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}],
    })
}
