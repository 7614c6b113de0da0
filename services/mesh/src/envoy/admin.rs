//! The sidecar's own state on the loopback, and metrics for whoever collects them.

use serde_json::{Value, json};

use super::{address, endpoint, http};

/// The sidecar's own port, on the loopback: `/ready`, `/stats`, `/certs`, and what changes it.
const ADMIN_PORT: u16 = 15_000;
/// Metrics on the network, in clear and nothing else: Prometheus has no identity of the mesh.
const METRICS_PORT: u16 = 15_090;
/// Connections to it. Anybody on the network may open them, and all together must not take those of callers.
const COLLECTORS_MAX: u32 = 32;
const CLUSTER: &str = "sidecar";

pub(super) fn admin() -> Value {
    json!({"address": address("127.0.0.1", ADMIN_PORT)})
}

pub(super) fn cluster() -> Value {
    json!({
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": endpoint(CLUSTER, "127.0.0.1", ADMIN_PORT),
    })
}

/// Passes on one path, for GET only.
pub(super) fn metrics_listener() -> Value {
    let routes = json!([{
        "match": {
            "path": "/stats/prometheus",
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
        },
        "route": {"cluster": CLUSTER, "timeout": http::ANSWER_MAX},
    }]);
    let name = "metrics";
    let limit = json!({
        "name": "envoy.filters.network.connection_limit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            "stat_prefix": name,
            "max_connections": COLLECTORS_MAX,
        },
    });
    // Here are strangers. HTTP/2 is nothing that they need.
    let own = json!({"codec_type": "HTTP1"});
    json!({
        "name": name,
        "address": address("0.0.0.0", METRICS_PORT),
        "filter_chains": [{"filters": [limit, http::manager(name, &routes, &[], own)]}],
    })
}
