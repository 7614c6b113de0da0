//! What listeners for HTTP and gRPC have in common.

use serde_json::{Value, json};

use crate::table::Protocol;

/// How long a stream may rest before it is cut: longer than the heartbeat of any stream, which is 15 s.
const STREAM_REST_MAX: &str = "120s";
/// How long an answer may take that is no stream. Callers set shorter deadlines of their own; this is for those that do not.
pub(super) const ANSWER_MAX: &str = "30s";
/// How long the headers of a request may take to arrive.
const HEADERS_MAX: &str = "10s";
/// Streams of one HTTP/2 connection, at once: as many as it holds for slow readers, so that they cannot make it stand still. For more
/// there is another connection.
pub(super) const STREAMS_MAX: u32 = CONNECTION_BYTES_MAX / STREAM_BYTES_MAX;
/// How much is held between the two ends of a listener's connections while one of them is slow, in bytes.
pub(super) const BUFFER_BYTES_MAX: u32 = 1024 * 1024;
/// How much of one stream is held while its reader is slow, in bytes: the least that Envoy takes, rounded up.
const STREAM_BYTES_MAX: u32 = 64 * 1024;
/// The same for all streams of an HTTP/2 connection. When that much is held the connection stands still for everybody, so that it is much
/// more than what one stream may hold, and by Envoy's own 16 MiB of a stream two slow readers would do it.
const CONNECTION_BYTES_MAX: u32 = 24 * 1024 * 1024;

/// Streams of events at once, through one door: more than the 5,000 that a service takes (`MAX_STREAMS`), whose own limits say so better.
pub(super) const EVENTS_MAX: u32 = 5_120;
/// The priority of streams of events. What it is called is of no interest: Envoy counts each priority for itself, so that readers, who
/// stay, take no place of those who ask and go.
const OF_EVENTS: &str = "HIGH";

/// The options of an HTTP/2 connection. Its ends notice within seconds when the other one is gone.
pub(super) fn http2() -> Value {
    json!({
        "max_concurrent_streams": STREAMS_MAX,
        "initial_stream_window_size": STREAM_BYTES_MAX,
        "initial_connection_window_size": CONNECTION_BYTES_MAX,
        "connection_keepalive": {"interval": "10s", "timeout": "5s"},
    })
}

/// What every HTTP connection manager has; `own` is added to it.
pub(super) fn manager(name: &str, routes: &Value, filters: &[Value], own: Value) -> Value {
    let mut all = filters.to_vec();
    all.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            // Services see the headers that they see without sidecars.
            "suppress_envoy_headers": true,
        },
    }));
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "route_config": {"name": name, "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
        "http_filters": all,
        "stream_idle_timeout": STREAM_REST_MAX,
        "request_headers_timeout": HEADERS_MAX,
        "http2_protocol_options": http2(),
        // The service's own name, and the trace that it has begun.
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": false,
    });
    if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
        config.extend(own);
    }
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": config})
}

/// The paths of a REST door whose answers are streams without an end.
fn events() -> Value {
    json!({"safe_regex": {"regex": ".*/events"}})
}

/// Makes a route one of streams of events.
pub(super) fn for_events(mut route: Value) -> Value {
    route["priority"] = json!(OF_EVENTS);
    json!({"match": events(), "route": route})
}

/// The limits of a cluster: those of requests, and where a door has streams of events, theirs.
pub(super) fn thresholds(protocol: Protocol, requests: Value, mut of_events: Value) -> Value {
    match protocol {
        Protocol::Rest => {
            of_events["priority"] = json!(OF_EVENTS);
            json!([requests, of_events])
        }
        Protocol::Grpc | Protocol::Live => json!([requests]),
    }
}

/// How long a route's answers may take. gRPC says so in each call; without `grpc-timeout` there is no end, as for streams.
pub(super) fn limit(protocol: Protocol) -> Value {
    match protocol {
        Protocol::Rest => json!({"timeout": ANSWER_MAX}),
        Protocol::Live => json!({"timeout": "0s"}),
        Protocol::Grpc => json!({
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
        }),
    }
}

/// A JSON line for each call, on the standard output.
pub(super) fn access_log() -> Value {
    json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": {
                "at": "%START_TIME%",
                "caller": "%DOWNSTREAM_PEER_URI_SAN%",
                "certificate": "%DOWNSTREAM_PEER_SERIAL%",
                "method": "%REQ(:METHOD)%",
                "path": "%PATH(NQ)%",
                "status": "%RESPONSE_CODE%",
                "grpc_status": "%GRPC_STATUS_NUMBER%",
                "flags": "%RESPONSE_FLAGS%",
                "why": "%RESPONSE_CODE_DETAILS%",
                "took_ms": "%DURATION%",
                "sent_bytes": "%BYTES_SENT%",
                "received_bytes": "%BYTES_RECEIVED%",
                "trace": "%REQ(TRACEPARENT)%",
            }},
        },
    }])
}
