//! Identities on both sides of a connection: TLS 1.3, certificates of the mesh's authorities, SPIFFE names.

use serde_json::{Value, json};

use crate::table;

/// Where a sidecar finds what the authority has written for its service.
const CERTIFICATES: &str = "/certificates";
/// Where the files of this module are in a sidecar's container.
const OWN: &str = "/etc/mesh";

/// The file that tells a sidecar its own certificate. A file holds one secret: Envoy takes the one that it asks for only from a
/// file of its own.
#[must_use]
pub fn identity() -> Value {
    secret(json!({
        "name": "identity",
        "tls_certificate": {
            "certificate_chain": {"filename": format!("{CERTIFICATES}/certificate.pem")},
            "private_key": {"filename": format!("{CERTIFICATES}/key.pem")},
            // The parent of the link that is renamed; its target never changes.
            "watched_directory": {"path": CERTIFICATES},
        },
    }))
}

/// The file that tells a sidecar whom to trust.
#[must_use]
pub fn authorities() -> Value {
    secret(json!({
        "name": "authorities",
        "validation_context": {
            "trusted_ca": {"filename": format!("{CERTIFICATES}/authorities.pem")},
            "watched_directory": {"path": CERTIFICATES},
        },
    }))
}

fn secret(mut secret: Value) -> Value {
    secret["@type"] = json!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
    json!({"resources": [secret]})
}

/// For a listener: whoever has no identity of the mesh does not get as far as a request. Which one may do what is asked for each
/// request, where a refusal can say so.
pub(super) fn downstream() -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            // Who comes back with a session is not asked for a certificate again: an identity would outlive it.
            "disable_stateless_session_resumption": true,
            "disable_stateful_session_resumption": true,
            "common_tls_context": common(&json!({"prefix": "spiffe://agora/"}), &["h2", "http/1.1"]),
        },
    })
}

/// For a cluster: the peer has to be this service, whatever name led there.
pub(super) fn upstream(service: &str) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": service,
            // The same the other way around.
            "max_session_keys": 0,
            "common_tls_context": common(&json!({"exact": table::identity(service)}), &["h2"]),
        },
    })
}

fn common(peer: &Value, protocols: &[&str]) -> Value {
    json!({
        // Both: a client of Envoy's offers TLS 1.2 at most unless it is told otherwise.
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": protocols,
        "tls_certificate_sds_secret_configs": [from_file("identity")],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}],
            },
            "validation_context_sds_secret_config": from_file("authorities"),
        },
    })
}

fn from_file(name: &str) -> Value {
    json!({
        "name": name,
        "sds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": format!("{OWN}/{name}.json")},
        },
    })
}
