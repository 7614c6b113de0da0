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
