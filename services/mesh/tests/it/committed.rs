//! What is committed beside the code: the sidecars' files, and the picture of the architecture.

use std::collections::BTreeSet;
use std::fs;

use chassis::config::Streams;
use clap::Parser;
use mesh::envoy;
use mesh::table::{self, CALLS, DOORS, Door, Protocol, SECOND_OFFSET, SERVICES};
use serde_json::{Value, json};

use crate::repository;

/// With it, the files are written instead of compared.
const UPDATE: &str = "UPDATE_DOCUMENTS";

#[test]
fn sidecars_files_are_what_the_table_makes() {
    let mut files: Vec<(&str, Value)> = SERVICES
        .map(|service| (service, envoy::bootstrap(service)))
        .into();
    files.push(("observatory-in-a-cluster", envoy::bootstrap_in_a_cluster()));
    files.push(("identity", envoy::identity()));
    files.push(("authorities", envoy::authorities()));
    let directory = repository().join("deploy/mesh/envoy");
    for (name, made) in &files {
        let path = directory.join(format!("{name}.json"));
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, format!("{made:#}\n")).unwrap();
        }
        let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            committed == *made,
            "{} is not what the code makes: {UPDATE}=1 writes it",
            path.display()
        );
    }
    let count = fs::read_dir(&directory).unwrap().count();
    assert_eq!(count, files.len(), "a file that nothing makes");
}

/// Each instance of the table with its three containers, and no other one; and the observatory is told of each.
#[test]
fn the_overlay_has_the_instances_of_the_table() {
    let overlay = fs::read_to_string(repository().join("deploy/mesh/compose.yml")).unwrap();
    let instances = SERVICES.into_iter().flat_map(table::instances);
    let wanted: BTreeSet<String> = instances
        .flat_map(|name| [format!("{name}-net"), format!("{name}-sidecar"), name])
        .collect();
    let (_, services) = overlay.split_once("\nservices:\n").unwrap();
    let (services, _) = services.split_once("\nvolumes:\n").unwrap();
    let keys = services.lines().filter_map(|line| line.strip_suffix(':'));
    let names = keys.filter_map(|key| key.strip_prefix("  "));
    let there: BTreeSet<String> = names
        .filter(|name| !name.starts_with([' ', '#']) && *name != "mesh-ca")
        .map(str::to_owned)
        .collect();
    assert_eq!(there, wanted);

    let observed = |door: &Door| door.protocol == Protocol::Live && door.service != "observatory";
    for door in DOORS.into_iter().filter(observed) {
        let count = table::instances(door.service).len();
        let ports = [door.port, door.port + SECOND_OFFSET];
        for port in ports.into_iter().take(count) {
            let url = format!("http://127.0.0.1:{port}");
            assert!(overlay.contains(&url), "the observatory lacks {url}");
        }
    }
}

/// Services and sidecars outlive each other in one network namespace: a connection of the one that has taken a port as its own keeps the
/// other from listening on it when it starts again.
#[test]
fn no_connection_takes_a_port_that_somebody_listens_on() {
    let overlay = fs::read_to_string(repository().join("deploy/mesh/compose.yml")).unwrap();
    let (_, range) = overlay
        .split_once("net.ipv4.ip_local_port_range: \"")
        .unwrap();
    let (range, _) = range.split_once('"').unwrap();
    let (first, last) = range.split_once(' ').unwrap();
    let [first, last] = [first, last].map(|port| port.parse::<u16>().unwrap());
    for door in DOORS {
        for port in [door.port, door.mesh_port()] {
            assert!(!(first..=last).contains(&port), "{door:?}");
        }
    }
}

#[test]
fn one_secret_stands_in_each_file() {
    for file in [envoy::identity(), envoy::authorities()] {
        assert_eq!(file["resources"].as_array().unwrap().len(), 1);
    }
}

/// A name that leads elsewhere leads nowhere: whoever answers has to be the service that is called, and whoever asks has to be somebody.
#[test]
fn both_ends_prove_who_they_are() {
    for service in SERVICES {
        let file = envoy::bootstrap(service);
        let resources = &file["static_resources"];
        for cluster in resources["clusters"].as_array().unwrap() {
            let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
            let address = &endpoint["endpoint"]["address"]["socket_address"]["address"];
            let host = address.as_str().unwrap();
            // One instance is `orders-2-net`.
            let called = host.split('-').next().unwrap();
            let peer = json!({"exact": table::identity(called)});
            match host {
                "127.0.0.1" => assert!(cluster["transport_socket"].is_null(), "{cluster}"),
                _ => is_mutual_tls_1_3(&cluster["transport_socket"], &peer),
            }
        }
        for listener in resources["listeners"].as_array().unwrap() {
            let host = &listener["address"]["socket_address"]["address"];
            let socket = &listener["filter_chains"][0]["transport_socket"];
            // Who collects metrics has no identity.
            if host == "127.0.0.1" || listener["name"] == "metrics" {
                assert!(socket.is_null(), "{service}: {listener}");
                continue;
            }
            let required = &socket["typed_config"]["require_client_certificate"];
            assert_eq!(*required, true, "{service}: {listener}");
            is_mutual_tls_1_3(socket, &json!({"prefix": "spiffe://agora/"}));
        }
    }
}

fn is_mutual_tls_1_3(socket: &Value, peer: &Value) {
    let common = &socket["typed_config"]["common_tls_context"];
    for bound in ["minimum", "maximum"] {
        let version = &common["tls_params"][format!("tls_{bound}_protocol_version")];
        assert_eq!(*version, "TLSv1_3", "{socket}");
    }
    assert_eq!(
        common["tls_certificate_sds_secret_configs"][0]["name"], "identity",
        "{socket}"
    );
    let context = &common["combined_validation_context"]["default_validation_context"];
    let names = &context["match_typed_subject_alt_names"];
    assert_eq!(*names, json!([{"san_type": "URI", "matcher": peer}]));
}

/// Who comes in is asked before anything else, and what a caller claims to be is replaced.
#[test]
fn a_door_is_open_to_those_of_the_table() {
    for door in DOORS {
        let file = envoy::bootstrap(door.service);
        let listeners = file["static_resources"]["listeners"].as_array().unwrap();
        let name = format!("inbound_{}", door.port);
        let found = listeners.iter().find(|it| it["name"] == name).unwrap();
        let manager = &found["filter_chains"][0]["filters"][0]["typed_config"];
        let rules = &manager["http_filters"][0]["typed_config"]["rules"];
        let let_in = table::callers_of(door).map(|caller| {
            json!({"authenticated": {"principal_name": {"exact": table::identity(caller)}}})
        });
        let callers =
            json!({"permissions": [{"any": true}], "principals": let_in.collect::<Vec<_>>()});
        assert_eq!(
            *rules,
            json!({"action": "ALLOW", "policies": {"callers": callers}}),
            "{door:?}"
        );
        assert_eq!(
            manager["forward_client_cert_details"], "SANITIZE_SET",
            "{door:?}"
        );
    }
}

/// An instance that hangs is given up while the caller still waits; but only for what may be repeated whatever happened.
#[test]
fn a_read_that_hangs_is_repeated_in_time_and_nothing_else_is() {
    // One attempt of the gateway is 3 s, one of users 1 s: `a_sidecar_asks_another_instance_within_an_attempt` compares them.
    for (service, listener, most) in [
        ("gateway", "orders_8081", "2s"),
        ("gateway", "products_8082", "2s"),
        ("users", "orders_8081", "0.5s"),
    ] {
        let file = envoy::bootstrap(service);
        let listeners = file["static_resources"]["listeners"].as_array().unwrap();
        let found = listeners.iter().find(|it| it["name"] == listener).unwrap();
        let config = &found["filter_chains"][0]["filters"][0]["typed_config"]["route_config"];
        for route in config["virtual_hosts"][0]["routes"].as_array().unwrap() {
            let is_read = route["match"]["headers"][0]["string_match"]["exact"] == "GET";
            let retry = &route["route"]["retry_policy"];
            let tried = retry["per_try_timeout"].as_str();
            assert_eq!(tried, is_read.then_some(most), "{service}: {route}");
            // A try that took too long counts as a reset.
            let mut on = retry["retry_on"].as_str().unwrap().split(',');
            assert_eq!(is_read, on.any(|it| it == "reset"), "{route}");
        }
    }
}

/// Readers stay. However many of them a service takes, they take no place of those who ask and go, and it is the service that refuses
/// the next one.
#[test]
fn readers_of_events_take_no_place_of_requests() {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        streams: Streams,
    }
    let streams = Defaults::parse_from(["service"]).streams.max_streams;
    for (service, cluster, listener) in [
        ("gateway", "orders_8081", "orders_8081"),
        ("users", "orders_8081", "orders_8081"),
        ("orders", "local_8081", "inbound_8081"),
    ] {
        let file = envoy::bootstrap(service);
        let named = |kind: &str, name: &str| {
            let all = file["static_resources"][kind].as_array().unwrap();
            all.iter().find(|it| it["name"] == name).unwrap().clone()
        };
        let found = named("clusters", cluster);
        let bounds = found["circuit_breakers"]["thresholds"].as_array().unwrap();
        let [of_requests, of_events] = &bounds[..] else {
            panic!("{service}: {bounds:?}");
        };
        assert!(of_requests["priority"].is_null(), "{of_requests}");
        assert_eq!(of_events["priority"], "HIGH");
        // Those whose connection has ended wait for the next one all at once.
        for limit in ["max_requests", "max_pending_requests"] {
            let most = of_events[limit].as_u64();
            assert!(most >= Some(u64::from(streams)), "{service}: {of_events}");
        }
        let found = named("listeners", listener);
        let config = &found["filter_chains"][0]["filters"][0]["typed_config"]["route_config"];
        for route in config["virtual_hosts"][0]["routes"].as_array().unwrap() {
            let is_of_events = !route["match"]["safe_regex"].is_null();
            let priority = route["route"]["priority"].as_str();
            assert_eq!(priority, is_of_events.then_some("HIGH"), "{route}");
        }
    }
}

/// On a connection between two sidecars are many customers' answers. What its slow readers have not taken is held, and must not be all that
/// the connection may hold.
#[test]
fn slow_readers_do_not_hold_up_a_connection() {
    let mut seen = 0;
    for service in SERVICES {
        let file = envoy::bootstrap(service);
        let mut found = Vec::new();
        all_named("http2_protocol_options", &file, &mut found);
        for options in found {
            let bytes = |of: &str| options[format!("initial_{of}_window_size")].as_u64();
            let (stream, connection) = (bytes("stream").unwrap(), bytes("connection").unwrap());
            let streams = options["max_concurrent_streams"].as_u64().unwrap();
            assert!(streams >= 256, "{service}: {options}");
            assert!(stream * streams <= connection, "{service}: {options}");
            // A sidecar may have 384 MiB, which are for more than one connection.
            assert!(connection <= 32 << 20, "{service}: {options}");
            seen += 1;
        }
    }
    assert!(seen > SERVICES.len(), "{seen}");
}

/// One that is killed for its memory ends the streams and requests of all.
#[test]
fn a_sidecar_has_memory_for_all_that_it_takes() {
    // Measured, both: docs/performance.md.
    const AT_REST_KIB: u64 = 68 * 1024;
    const STREAM_KIB: u64 = 32;
    let text = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let overlay = text("deploy/mesh/compose.yml");
    let (_, limit) = overlay.split_once("{SIDECAR_MEMORY:-").unwrap();
    let (limit, _) = limit.split_once("m}").unwrap();
    let on_kubernetes = text("deploy/kubernetes/components/sidecars/sidecar.yaml");
    let same = format!("limits: {{memory: {limit}Mi}}");
    assert!(on_kubernetes.contains(&same), "{same}");

    let file = envoy::bootstrap("gateway");
    let clusters = file["static_resources"]["clusters"].as_array().unwrap();
    let orders = clusters.iter().find(|it| it["name"] == "orders_8081");
    let bounds = &orders.unwrap()["circuit_breakers"]["thresholds"];
    let most = |bound: &Value| bound["max_requests"].as_u64().unwrap();
    let streams: u64 = bounds.as_array().unwrap().iter().map(most).sum();
    let needed = AT_REST_KIB + streams * STREAM_KIB;
    assert!(
        needed <= limit.parse::<u64>().unwrap() * 1024,
        "{needed} KiB"
    );
}

/// All values of this name, wherever they are.
fn all_named<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(name));
            for member in members.values() {
                all_named(name, member, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                all_named(name, item, found);
            }
        }
        _ => {}
    }
}

/// At each sidecar on the way of a stream.
#[test]
fn events_have_no_end_and_other_answers_have_one() {
    for (service, listener) in [
        ("gateway", "orders_8081"),
        ("users", "orders_8081"),
        ("orders", "inbound_8081"),
    ] {
        let file = envoy::bootstrap(service);
        let listeners = file["static_resources"]["listeners"].as_array().unwrap();
        let found = listeners.iter().find(|it| it["name"] == listener).unwrap();
        let config = &found["filter_chains"][0]["filters"][0]["typed_config"]["route_config"];
        let routes = config["virtual_hosts"][0]["routes"].as_array().unwrap();
        let (events, others) = routes.split_first().unwrap();
        assert_eq!(events["match"]["safe_regex"]["regex"], ".*/events");
        assert_eq!(events["route"]["timeout"], "0s", "{service}: {listener}");
        assert!(!others.is_empty(), "{service}: {listener}");
        for other in others {
            assert_eq!(other["route"]["timeout"], "30s", "{service}: {listener}");
        }
    }
}

#[test]
fn the_table_is_the_picture_of_the_architecture() {
    let text = fs::read_to_string(repository().join("docs/ARCHITECTURE.md")).unwrap();
    let picture = text.split("```").nth(1).unwrap();
    let drawn = drawn(picture);
    let table: BTreeSet<_> = CALLS
        .iter()
        .map(|call| (call.caller, call.service, call.protocol))
        .collect();
    assert_eq!(table, drawn);
}

/// The calls of the picture. An arrow's protocol is in its middle. Who stands before it is on its line, or, where branches
/// hang below a name, the gateway, whose lines they are.
fn drawn(picture: &str) -> BTreeSet<(&'static str, &'static str, Protocol)> {
    let mut calls = BTreeSet::new();
    for line in picture.lines() {
        if line.contains("reads ──▶ the admin ports of all of them") {
            let others = SERVICES.into_iter().filter(|name| *name != "observatory");
            calls.extend(others.map(|name| ("observatory", name, Protocol::Live)));
        }
        if line.contains("gateway ── passes /observatory on ──▶ observatory") {
            calls.insert(("gateway", "observatory", Protocol::Live));
        }
        if !line.contains(" gRPC ") && !line.contains(" REST ") {
            continue;
        }
        let mut callers: Vec<&'static str> = vec!["gateway"];
        // Between two names stands one arrow.
        let mut protocol = None;
        let mut named = Vec::new();
        for word in line.split(|c: char| !c.is_ascii_alphabetic()) {
            match word {
                "gRPC" => protocol = Some(Protocol::Grpc),
                "REST" => protocol = Some(Protocol::Rest),
                // What comes after the names of a line explains them, in brackets.
                _ => {
                    let Some(name) = SERVICES.into_iter().find(|name| *name == word) else {
                        continue;
                    };
                    match protocol.take() {
                        None => named.push(name),
                        Some(protocol) => {
                            if !named.is_empty() {
                                callers = std::mem::take(&mut named);
                            }
                            calls.extend(callers.iter().map(|caller| (*caller, name, protocol)));
                            named.push(name);
                        }
                    }
                }
            }
        }
    }
    calls
}
