//! The doors of a service: TLS ends here, the caller is known by its certificate, and the table says whether it may come in.

use serde_json::{Value, json};

use super::{address, endpoint, http, tls};
use crate::table::{self, Door, Protocol};

/// Tells the caller's sidecar that the request has not reached the service: whatever it was, it may be sent again.
pub(super) const UNREACHED: &str = "x-mesh-unreached";
/// Connections, waiting requests and requests of one door, beside streams of events: more than the service takes, whose own limits
/// say so better.
const DOOR_MAX: u32 = 4_096;
/// How long a caller may take to prove who it is. Until then anybody on the network holds one of the connections that the sidecar takes.
const HANDSHAKE_MAX: &str = "5s";
/// How long a caller's connection is taken for new requests: as long as a certificate lives by default, so that an identity that gets no
/// further one ends. The connection goes with its last answer, and the caller's sidecar has another one by then.
const CONNECTION_MAX: &str = "3600s";
/// How long a connection to the service may rest: less than the 30 s after which the service closes it.
const REST_MAX: &str = "20s";

pub(super) fn listener(door: &Door) -> Value {
    let name = format!("inbound_{}", door.port);
    let own = json!({
        // What a caller claims to be is dropped; what its certificate says is told to the service.
        "common_http_protocol_options": {"max_connection_duration": CONNECTION_MAX},
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"uri": true},
        "access_log": http::access_log(),
        "local_reply_config": {"mappers": [{
            "filter": {"response_flag_filter": {"flags": ["UF"]}},
            "headers_to_add": [{
                "header": {"key": UNREACHED, "value": "1"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }],
        }]},
    });
    json!({
        "name": name,
        "address": address("0.0.0.0", door.mesh_port()),
        "per_connection_buffer_limit_bytes": http::BUFFER_BYTES_MAX,
        "filter_chains": [{
            "transport_socket": tls::downstream(),
            "transport_socket_connect_timeout": HANDSHAKE_MAX,
            "filters": [http::manager(&name, &routes(door), &[only_callers(door)], own)],
        }],
    })
}

/// Everything goes to the service. A stream of events has no end here either, or it would be cut on its last step.
fn routes(door: &Door) -> Value {
    let to = |protocol| {
        let mut route = http::limit(protocol);
        route["cluster"] = json!(cluster_name(door));
        // Only what the service cannot have seen: the connection failed, or broke before the request was written.
        route["retry_policy"] =
            json!({"retry_on": "connect-failure,reset-before-request", "num_retries": 1});
        route
    };
    let all = json!({"match": {"prefix": "/"}, "route": to(door.protocol)});
    match door.protocol {
        Protocol::Rest => {
            json!([http::for_events(to(Protocol::Live)), all])
        }
        Protocol::Grpc | Protocol::Live => json!([all]),
    }
}

/// Refuses everybody whom the table does not name, with 403 or PERMISSION_DENIED.
fn only_callers(door: &Door) -> Value {
    let callers: Vec<Value> = table::callers_of(*door)
        .map(|caller| json!({"authenticated": {"principal_name": {"exact": table::identity(caller)}}}))
        .collect();
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {"callers": {"permissions": [{"any": true}], "principals": callers}},
            },
        },
    })
}

pub(super) fn cluster(door: &Door) -> Value {
    let name = cluster_name(door);
    let protocol = match door.protocol {
        Protocol::Grpc => json!({"http2_protocol_options": http::http2()}),
        Protocol::Rest | Protocol::Live => json!({"http_protocol_options": {}}),
    };
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": endpoint(&name, "127.0.0.1", door.port),
        "circuit_breakers": {
            "thresholds": http::thresholds(door.protocol, up_to(DOOR_MAX), up_to(http::EVENTS_MAX)),
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": REST_MAX},
                "explicit_http_config": protocol,
            },
        },
    })
}

/// Over HTTP/1.1 each request has a connection.
fn up_to(requests: u32) -> Value {
    json!({
        "max_connections": requests,
        "max_pending_requests": requests,
        "max_requests": requests,
    })
}

fn cluster_name(door: &Door) -> String {
    format!("local_{}", door.port)
}
