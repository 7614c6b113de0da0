//! Who has no identity of the mesh, or has one no more, and customers who go away: what they cost others.

use mesh::envoy;
use mesh::table::SERVICES;
use serde_json::Value;

/// What a sidecar listens on where others than its own service can connect.
fn on_the_network(service: &str) -> Vec<Value> {
    let file = envoy::bootstrap(service);
    let listeners = file["static_resources"]["listeners"].as_array().unwrap();
    let is_open = |it: &&Value| it["address"]["socket_address"]["address"] != "127.0.0.1";
    listeners.iter().filter(is_open).cloned().collect()
}

/// Without a bound they would hold all connections that a sidecar takes, and callers got none.
#[test]
fn who_has_no_identity_holds_few_connections_or_for_seconds() {
    for service in SERVICES {
        for listener in on_the_network(service) {
            let chain = &listener["filter_chains"][0];
            if listener["name"] == "metrics" {
                let most = &chain["filters"][0]["typed_config"]["max_connections"];
                assert!(most.as_u64().unwrap() <= 64, "{service}: {listener}");
                let codec = &chain["filters"][1]["typed_config"]["codec_type"];
                assert_eq!(*codec, "HTTP1", "{service}: {listener}");
            } else {
                let handshake = &chain["transport_socket_connect_timeout"];
                assert_eq!(*handshake, "5s", "{service}: {listener}");
            }
        }
    }
}

/// Neither by a session that is resumed, for which nobody is asked for a certificate, nor by a connection that stays.
#[test]
fn no_identity_outlives_its_certificate_for_long() {
    for service in SERVICES {
        for listener in on_the_network(service) {
            let chain = &listener["filter_chains"][0];
            if listener["name"] == "metrics" {
                continue;
            }
            let tls = &chain["transport_socket"]["typed_config"];
            for kind in ["stateless", "stateful"] {
                let resumes = &tls[format!("disable_{kind}_session_resumption")];
                assert_eq!(*resumes, true, "{service}: {listener}");
            }
            let manager = &chain["filters"][0]["typed_config"];
            let most = &manager["common_http_protocol_options"]["max_connection_duration"];
            assert_eq!(*most, "3600s", "{service}: {listener}");
        }
        let file = envoy::bootstrap(service);
        for cluster in file["static_resources"]["clusters"].as_array().unwrap() {
            let tls = &cluster["transport_socket"]["typed_config"];
            assert!(
                tls.is_null() || tls["max_session_keys"] == 0,
                "{service}: {cluster}"
            );
        }
    }
}

/// Customers who go away are cancelled on the connection that all share. Envoy takes that for an attack by whoever has connected.
#[test]
fn who_gives_up_ends_no_connection() {
    for service in SERVICES {
        let file = envoy::bootstrap(service);
        let layer = &file["layered_runtime"]["layers"][0]["static_layer"];
        let requests = &layer["overload.premature_reset_total_stream_count"];
        assert!(requests.as_u64() >= Some(1_000_000_000), "{service}");
    }
}
