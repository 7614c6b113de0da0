//! Whether the API knows each field of a manifest.
//!
//! The types of `k8s-openapi` are made from the API's own description. They take a document of the wrong type for no document, but
//! leave out fields that they do not know. So what was read is written again, and compared: what is lost was no field.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::render::{Rendered, name};

/// Groups of operators. Their descriptions are not part of Kubernetes, so these documents are not read here.
const OPERATORS: [&str; 4] = [
    "cert-manager.io/",
    "kafka.strimzi.io/",
    "postgresql.cnpg.io/",
    "rabbitmq.com/",
];

pub(crate) fn the_api_knows_every_field(rendered: &Rendered) {
    let wrong: Vec<String> = rendered.documents.iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with a document.
fn wrong(document: &Value) -> Vec<String> {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let kind = document["kind"].as_str().unwrap_or_default();
    let written = match (version, kind) {
        ("v1", "ConfigMap") => again::<ConfigMap>(document),
        ("v1", "Namespace") => again::<Namespace>(document),
        ("v1", "Secret") => again::<Secret>(document),
        ("v1", "Service") => again::<Service>(document),
        ("v1", "ServiceAccount") => again::<ServiceAccount>(document),
        ("apps/v1", "Deployment") => again::<Deployment>(document),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => again::<HorizontalPodAutoscaler>(document),
        ("batch/v1", "Job") => again::<Job>(document),
        ("networking.k8s.io/v1", "Ingress") => again::<Ingress>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => again::<NetworkPolicy>(document),
        ("policy/v1", "PodDisruptionBudget") => again::<PodDisruptionBudget>(document),
        _ if OPERATORS.iter().any(|group| version.starts_with(group)) => return Vec::new(),
        _ => Err("it is none of the kinds that are read here".to_owned()),
    };
    let place = format!("{kind} {}", name(document));
    match written {
        Ok(written) => lost(&place, document, &written),
        Err(why) => vec![format!("{place}: {why}")],
    }
}

fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, String> {
    let read: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

/// Where what was written differs from what was read.
fn lost(place: &str, read: &Value, written: &Value) -> Vec<String> {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            let fields = read.iter().map(|(field, read)| {
                let place = format!("{place}.{field}");
                match written.get(field) {
                    Some(written) => lost(&place, read, written),
                    // Nothing is written for what is empty.
                    None if is_empty(read) => Vec::new(),
                    None => vec![format!("{place}: there is no such field")],
                }
            });
            fields.flatten().collect()
        }
        (Value::Array(read), Value::Array(written)) if read.len() == written.len() => {
            let items = read.iter().zip(written).enumerate();
            let items = items
                .map(|(index, (read, written))| lost(&format!("{place}[{index}]"), read, written));
            items.flatten().collect()
        }
        (read, written) if read == written => Vec::new(),
        (read, written) => vec![format!("{place}: {read} was read as {written}")],
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

pub(crate) fn what_the_api_does_not_know_is_found() {
    let policy = |field: &str, ports: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": "planted" },
            "spec": { "podSelector": {}, field: [{ "ports": ports }] },
        })
    };
    assert_eq!(wrong(&policy("ingress", json!([{ "port": 80 }]))), [""; 0]);
    for (document, part) in [
        (
            policy("ingres", json!([])),
            "spec.ingres: there is no such field",
        ),
        (
            policy("ingress", json!([{ "prt": 80 }])),
            "ports[0].prt: there is no such field",
        ),
        (policy("ingress", json!(80)), "invalid type"),
        (
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "planted" } }),
            "none of the kinds",
        ),
    ] {
        let found = wrong(&document).join("\n");
        assert!(found.contains(part), "{found}");
    }
}
