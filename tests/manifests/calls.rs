//! Who may call whom, by the NetworkPolicies: the table of the mesh, which its own test compares with the picture of
//! `docs/ARCHITECTURE.md`.

use std::collections::BTreeSet;

use mesh::table::{DOORS, Protocol, is_allowed};
use serde_json::{Value, json};

use crate::render::{Overlay, Rendered, SERVICES, list};

/// A direction of a policy: what it is called, and where a rule says with whom.
const INGRESS: (&str, &str) = ("Ingress", "from");
const EGRESS: (&str, &str) = ("Egress", "to");

pub(crate) fn who_may_call_whom_is_the_table_of_the_mesh(rendered: &Rendered) {
    for door in DOORS {
        // The admin ports stay outside of the mesh.
        let is_admin = door.protocol == Protocol::Live && door.service != "observatory";
        let port = match rendered.overlay {
            Overlay::Mesh if !is_admin => door.mesh_port(),
            _ => door.port,
        };
        let callers = SERVICES.into_iter();
        for caller in callers.filter(|caller| *caller != door.service) {
            let may = may(rendered, caller, door.service, u64::from(port));
            assert_eq!(may, is_allowed(caller, door), "{caller} at {door:?}");
        }
    }
}

/// From other namespaces come the controller of the Ingress, to the public door, and whoever collects metrics; nobody from anywhere.
pub(crate) fn who_comes_from_elsewhere_is_named(rendered: &Rendered) {
    let mut found = BTreeSet::new();
    for service in SERVICES {
        for rule in rules_for(rendered, labels(rendered, service)) {
            assert!(list(&rule["ports"]).next().is_some(), "{service}: {rule}");
            assert!(list(&rule["from"]).next().is_some(), "{service}: {rule}");
            for peer in list(&rule["from"]) {
                let selector = &peer["namespaceSelector"]["matchLabels"];
                match selector["kubernetes.io/metadata.name"].as_str() {
                    Some(namespace) => {
                        let at =
                            |port: &Value| format!("{namespace} at {service} {}", port["port"]);
                        found.extend(list(&rule["ports"]).map(at));
                    }
                    // Neither a range of addresses nor all namespaces: pods of our own.
                    None => assert!(
                        peer["podSelector"].is_object() && peer["namespaceSelector"].is_null(),
                        "{service}: {peer}"
                    ),
                }
            }
        }
    }
    let mut wanted = BTreeSet::from(["ingress-nginx at gateway 8080".to_owned()]);
    for service in SERVICES {
        wanted.insert(format!("observability at {service} \"admin\""));
        if rendered.overlay == Overlay::Mesh {
            wanted.insert(format!("observability at {service} 15090"));
        }
    }
    assert_eq!(found, wanted);
}

/// What a service is told to connect to lets it in, and no other service.
pub(crate) fn engines_are_reached_by_who_uses_them(rendered: &Rendered) {
    for (engine, port, setting) in [
        (json!({"cnpg.io/cluster": "postgres"}), 5432, "DATABASE_URL"),
        (
            json!({"app.kubernetes.io/name": "rabbitmq"}),
            5671,
            "AMQP_URL",
        ),
    ] {
        let rules: Vec<&Value> = rules_for(rendered, &engine).collect();
        let is_let_in = |service: &&str| {
            let mut own = rules.iter();
            own.any(|rule| {
                is_for(&rule["from"], labels(rendered, service))
                    && list(&rule["ports"]).any(|it| it["port"] == port)
            })
        };
        let let_in: Vec<&str> = SERVICES.into_iter().filter(is_let_in).collect();
        assert_eq!(let_in, told(rendered, setting), "{setting}");
    }
    let kafka = rendered.of_kind("Kafka").next().unwrap();
    for listener in list(&kafka["spec"]["kafka"]["listeners"]) {
        let peers = &listener["networkPolicyPeers"];
        assert!(peers.is_array(), "everybody may connect to Kafka");
        let is_let_in = |service: &&str| is_for(peers, labels(rendered, service));
        let let_in: Vec<&str> = SERVICES.into_iter().filter(is_let_in).collect();
        assert_eq!(let_in, told(rendered, "KAFKA_BROKERS"));
    }
}

/// The services that have this setting.
fn told(rendered: &Rendered, setting: &str) -> Vec<&'static str> {
    let is_told = |service: &&str| {
        let mut variables = list(&rendered.container(service)["env"]);
        variables.any(|variable| variable["name"] == setting)
    };
    SERVICES.into_iter().filter(is_told).collect()
}

/// The rules for whoever connects to pods with these labels.
fn rules_for<'a>(rendered: &'a Rendered, labels: &'a Value) -> impl Iterator<Item = &'a Value> {
    rendered
        .of_kind("NetworkPolicy")
        .filter(|policy| list(&policy["spec"]["policyTypes"]).any(|kind| kind == "Ingress"))
        .filter(move |policy| selects(&policy["spec"]["podSelector"], labels))
        .flat_map(|policy| list(&policy["spec"]["ingress"]))
}

/// The ports of a service by their names.
fn ports(rendered: &Rendered, service: &str, wanted: impl Fn(&str) -> bool) -> Vec<u64> {
    let ports = list(&rendered.container(service)["ports"]);
    let wanted = ports.filter(|port| wanted(port["name"].as_str().unwrap()));
    wanted
        .map(|port| port["containerPort"].as_u64().unwrap())
        .collect()
}

/// Whether a policy lets the caller out and another one lets it in.
fn may(rendered: &Rendered, caller: &str, called: &str, port: u64) -> bool {
    let out = is_open(rendered, EGRESS, caller, called, port, called);
    out && is_open(rendered, INGRESS, called, caller, port, called)
}

/// Whether the policies of `own` in this direction have a rule for `other` and a port of `server`.
fn is_open(
    rendered: &Rendered,
    (direction, with_whom): (&str, &str),
    own: &str,
    other: &str,
    port: u64,
    server: &str,
) -> bool {
    let policies: Vec<&Value> = rendered
        .of_kind("NetworkPolicy")
        .filter(|policy| list(&policy["spec"]["policyTypes"]).any(|kind| kind == direction))
        .filter(|policy| selects(&policy["spec"]["podSelector"], labels(rendered, own)))
        .collect();
    assert!(!policies.is_empty(), "{own} is not isolated: {direction}");
    let rules = policies
        .iter()
        .flat_map(|policy| list(&policy["spec"][direction.to_lowercase()]));
    rules
        .filter(|rule| is_for(&rule[with_whom], labels(rendered, other)))
        .any(|rule| has_port(rendered, &rule["ports"], port, server))
}

fn labels<'a>(rendered: &'a Rendered, service: &str) -> &'a Value {
    &rendered.deployment(service)["spec"]["template"]["metadata"]["labels"]
}

/// Whether a rule is for pods with these labels: for all where it names nobody, and never where it names another namespace.
fn is_for(peers: &Value, labels: &Value) -> bool {
    if peers.is_null() {
        return true;
    }
    let mut near = list(peers).filter(|peer| peer["namespaceSelector"].is_null());
    near.any(|peer| selects(&peer["podSelector"], labels))
}

/// Whether a selector selects these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = list(&selector["matchExpressions"]);
    equal.all(|(label, value)| labels.get(label) == Some(value))
        && expressions.all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap()];
            let is_in = list(&expression["values"]).any(|value| value == label);
            match expression["operator"].as_str().unwrap() {
                "In" => is_in,
                "NotIn" => !is_in,
                other => panic!("{other} is not read here"),
            }
        })
}

/// Whether a rule has a port of `server`, by its number or its name; every port where it names none.
fn has_port(rendered: &Rendered, ports: &Value, wanted: u64, server: &str) -> bool {
    if ports.is_null() {
        return true;
    }
    list(ports).any(|port| match &port["port"] {
        Value::String(name) => {
            self::ports(rendered, server, |named| named == name).contains(&wanted)
        }
        port => port.as_u64() == Some(wanted),
    })
}
