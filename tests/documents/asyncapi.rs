//! The AsyncAPI document: from the declared messages, and true of what the brokers and the services know.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Document, breaking, check, root};

fn made() -> Value {
    contracts::asyncapi::document()
}

fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

#[test]
fn asyncapi_document_is_what_the_code_makes() {
    check(&Document {
        file: "asyncapi.json",
        made: made(),
        breaks: breaking::of_asyncapi,
    });
}

/// The types that `contracts` declares are all in the document, and no other.
#[test]
fn every_declared_message_is_described() {
    let declared: BTreeSet<_> = ["events", "jobs"]
        .map(|module| source(&format!("crates/contracts/src/{module}.rs")))
        .iter()
        .flat_map(|text| text.split('"').skip(1).step_by(2))
        .filter(|text| {
            text.starts_with("agora.") && text.rsplit('.').next().is_some_and(is_version)
        })
        .map(str::to_owned)
        .collect();
    let document = made();
    let messages = document["components"]["messages"]
        .as_object()
        .expect("messages");
    let described: BTreeSet<_> = messages.keys().cloned().collect();
    assert!(!declared.is_empty());
    assert_eq!(
        described, declared,
        "crates/contracts/src/asyncapi.rs lists what is declared"
    );
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Who may write and read each topic on the brokers does so in the document, and nobody else does.
#[test]
fn topics_have_the_rights_of_the_brokers() {
    let script = source("deploy/compose/kafka-topics.sh");
    let list = script
        .split("<<'END'\n")
        .nth(1)
        .and_then(|rest| rest.split("\nEND\n").next());
    let rights: BTreeSet<_> = list.expect("the list").lines().map(str::to_owned).collect();
    let document = made();
    let mut described = BTreeSet::new();
    for operation in document["operations"]
        .as_object()
        .expect("operations")
        .values()
    {
        let reference = operation["channel"]["$ref"].as_str().expect("a channel");
        let channel = document.pointer(&reference[1..]).expect(reference);
        if channel["bindings"].get("kafka").is_some() {
            let right = if operation["action"] == "send" {
                "WRITE"
            } else {
                "READ"
            };
            let service = operation["tags"][0]["name"].as_str().expect("a service");
            let topic = channel["address"].as_str().expect("an address");
            described.insert(format!("{service} {right} {topic}"));
        }
    }
    assert_eq!(described, rights);
}

/// Each operation names messages that its channel has; who publishes a fact is its source, and publishes all that are there.
/// That what is received is what is handled is compared by each service.
#[test]
fn operations_name_their_messages() {
    let document = made();
    let pointed = |value: &Value| {
        let reference = value["$ref"].as_str().expect("a reference").to_owned();
        let found = document.pointer(&reference[1..]).expect(&reference);
        (reference, found.clone())
    };
    for (name, operation) in document["operations"].as_object().expect("operations") {
        let (_, channel) = pointed(&operation["channel"]);
        let of_channel = channel["messages"].as_object().expect(name);
        let messages = operation["messages"].as_array().expect(name);
        let named: BTreeSet<_> = messages
            .iter()
            .map(|message| {
                let (reference, _) = pointed(message);
                let message = reference.rsplit('/').next().expect("a name");
                assert!(of_channel.contains_key(message), "{name}: {message}");
                message.to_owned()
            })
            .collect();
        assert!(!named.is_empty(), "{name}");
        let channel_name = channel["address"].as_str().expect("an address");
        let is_way_back = [".dlq", ".retry", ".dead"]
            .iter()
            .any(|suffix| channel_name.ends_with(suffix));
        if operation["action"] == "send" && !is_way_back {
            let all: BTreeSet<_> = of_channel.keys().cloned().collect();
            assert_eq!(named, all, "{name}");
            let service = operation["tags"][0]["name"].as_str().expect("a service");
            for message in &named {
                let headers = &document["components"]["messages"][message]["headers"];
                let source = &headers["allOf"][1]["properties"]["ce_source"]["const"];
                assert_eq!(*source, format!("/services/{service}"), "{name}: {message}");
            }
        }
    }
}

/// A message that has twins says so.
#[test]
fn versions_of_a_message_are_shown() {
    let document = made();
    let message = |name: &str| &document["components"]["messages"][name];
    let placed = message("agora.order.placed.v2");
    let earlier = serde_json::json!(["agora.order.placed.v1"]);
    assert_eq!(placed["x-earlier-versions"], earlier);
    assert!(
        message("agora.order.placed.v1")
            .get("x-earlier-versions")
            .is_none()
    );
}

/// Every name in `contracts` that a message can be sent to is a channel.
#[test]
fn every_name_is_a_channel() {
    let names = source("crates/contracts/src/names.rs");
    let names: Vec<_> = names
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const ")?.split('"').nth(1))
        .filter(|name| !name.starts_with('/'))
        .collect();
    let document = made();
    assert!(names.len() > 6, "{names:?}");
    for name in names {
        assert_eq!(document["channels"][name]["address"], name);
    }
}
