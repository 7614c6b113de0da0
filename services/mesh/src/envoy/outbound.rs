//! The peers of a service: a port on the loopback for each, and behind it all instances, balanced, judged and limited.

use serde_json::{Value, json};

use super::inbound::UNREACHED;
use super::{address, endpoint, http, tls};
use crate::table::{self, Door, Protocol, SECOND_OFFSET};

/// How often a repetition draws an instance until it is another one than before. Whoever has failed has the fewest requests, so
/// that of two instances it is drawn three times out of four.
const LOOKS_MAX: u32 = 32;
/// Connections to one peer. Each carries up to [`http::STREAMS_MAX`] requests.
const CONNECTIONS_MAX: u32 = 64;
/// Requests that wait for a connection, beside streams of events: of those all may, since readers whose connection has ended come again at
/// the same moment.
const PENDING_MAX: u32 = 256;
/// Requests at once, beside streams of events.
const REQUESTS_MAX: u32 = 4_096;
/// Of the requests under way, how many percent may be repetitions; and how many always.
const RETRY_PERCENT: f64 = 20.0;
const RETRIES_MIN: u32 = 3;
/// How often a request is repeated.
const RETRIES_MAX: u32 = 2;
/// How long one try of a gateway's read may take before another instance is asked. An instance that hangs would otherwise have the whole
/// time that the caller has, and would never be ejected: who is given up by its caller has failed nobody.
const READ_TRY_MAX: &str = "2s";
/// The same for services among themselves, who wait shorter: an attempt of theirs is 1 s, the whole call 2 s.
const READ_TRY_MAX_INSIDE: &str = "0.5s";
/// What no service can have seen: no connection, a refused stream, a sidecar that did not reach its service.
const UNSEEN: &str = "connect-failure,refused-stream,reset-before-request,retriable-headers";

/// What a loopback port leads to.
pub(super) struct Route {
    door: Door,
    local_port: u16,
    /// The name that leads to it: of all instances, or of one.
    host: String,
}

/// All instances of a service behind one port; but each by itself where whoever asks wants to know all of them.
pub(super) fn routes_to(door: &Door) -> Vec<Route> {
    let route = |host: String, local_port| Route {
        door: *door,
        local_port,
        host,
    };
    let instances = table::instances(door.service);
    if door.protocol != Protocol::Live || instances.len() == 1 {
        return vec![route(door.service.to_owned(), door.port)];
    }
    let ports = [door.port, door.port + SECOND_OFFSET];
    let each = instances.into_iter().zip(ports);
    each.map(|(instance, port)| route(format!("{instance}-net"), port))
        .collect()
}

pub(super) fn listener(caller: &str, route: &Route) -> Value {
    let name = name(route);
    let routes = match route.door.protocol {
        Protocol::Rest => rest_routes(&name, read_try_max(caller)),
        protocol => json!([{"match": {"prefix": "/"}, "route": to(&name, protocol, UNSEEN)}]),
    };
    json!({
        "name": name,
        "address": address("127.0.0.1", route.local_port),
        "per_connection_buffer_limit_bytes": http::BUFFER_BYTES_MAX,
        "filter_chains": [{"filters": [http::manager(&name, &routes, &[], json!({}))]}],
    })
}

/// Shorter than one attempt of the caller's client, with time left for the answer of another instance.
fn read_try_max(caller: &str) -> &'static str {
    match caller {
        "gateway" => READ_TRY_MAX,
        _ => READ_TRY_MAX_INSIDE,
    }
}

/// Streams have no end, reads may be repeated whatever happened, and all else only if nobody has seen it.
fn rest_routes(name: &str, read_try_max: &str) -> Value {
    let mut read = to(
        name,
        Protocol::Rest,
        &format!("{UNSEEN},gateway-error,reset"),
    );
    read["retry_policy"]["per_try_timeout"] = json!(read_try_max);
    json!([
        http::for_events(to(name, Protocol::Live, UNSEEN)),
        {
            "match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
            "route": read,
        },
        {"match": {"prefix": "/"}, "route": to(name, Protocol::Rest, UNSEEN)},
    ])
}

fn to(cluster: &str, protocol: Protocol, retry_on: &str) -> Value {
    let mut route = http::limit(protocol);
    route["cluster"] = json!(cluster);
    route["retry_policy"] = json!({
        "retry_on": retry_on,
        "retriable_headers": [{"name": UNREACHED, "present_match": true}],
        "num_retries": RETRIES_MAX,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        // Another instance, if there is one.
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }],
        "host_selection_retry_max_attempts": LOOKS_MAX,
    });
    route
}

pub(super) fn cluster(route: &Route) -> Value {
    let name = name(route);
    json!({
        "name": name,
        // All addresses that a name has: an instance that comes or goes is seen within a second.
        "cluster_type": {
            "name": "envoy.cluster.dns",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                "dns_lookup_family": "V4_ONLY",
                "dns_refresh_rate": "1s",
                "respect_dns_ttl": false,
            },
        },
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": endpoint(&name, &route.host, route.door.mesh_port()),
        "transport_socket": tls::upstream(route.door.service),
        "circuit_breakers": {
            "thresholds": http::thresholds(
                route.door.protocol,
                up_to(REQUESTS_MAX, PENDING_MAX),
                up_to(http::EVENTS_MAX, http::EVENTS_MAX),
            ),
        },
        "outlier_detection": outliers(),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "60s"},
                "explicit_http_config": {"http2_protocol_options": http::http2()},
            },
        },
    })
}

fn up_to(requests: u32, waiting: u32) -> Value {
    json!({
        "max_connections": CONNECTIONS_MAX,
        "max_pending_requests": waiting,
        "max_requests": requests,
        "retry_budget": {"budget_percent": {"value": RETRY_PERCENT}, "min_retry_concurrency": RETRIES_MIN},
    })
}

/// An instance that fails five times in a row is left out for 5 s, the next time for 10 s. Half of them stay, whatever they do.
fn outliers() -> Value {
    json!({
        "split_external_local_origin_errors": true,
        "consecutive_gateway_failure": 5,
        "enforcing_consecutive_gateway_failure": 100,
        "consecutive_local_origin_failure": 5,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "60s",
        "max_ejection_percent": 50,
        // An answer that says "too much" or "wrong" is none of a broken instance.
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
    })
}

fn name(route: &Route) -> String {
    format!("{}_{}", route.host, route.local_port)
}
