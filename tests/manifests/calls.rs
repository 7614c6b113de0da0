//! Who may call whom, by the NetworkPolicies: the table of the mesh, which its own test compares with the picture of
//! `docs/ARCHITECTURE.md`.

use mesh::table::{DOORS, Protocol, is_allowed};
use serde_json::Value;

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
