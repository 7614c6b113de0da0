//! The OpenAPI documents: of orders and products from their routes, of the gateway from its own and from theirs.

use std::collections::{BTreeMap, BTreeSet};

use chassis::openapi::operations;
use chassis::page;
use gateway::{PassedOn, Version};
use serde_json::Value;

use crate::{Document, breaking, check};

fn made() -> Vec<Document> {
    let config: gateway::Config = chassis::config::try_from_args(["gateway"]).expect("defaults");
    let behind = |version| match version {
        Version::V1 => (orders::document(), products::document()),
        Version::V2 => (orders::document_v2(), products::document_v2()),
    };
    // What the gateway passes on when nothing else is said.
    let passed_on = config.versions().map(|(version, routes)| {
        let (orders, products) = behind(version);
        PassedOn {
            version,
            routes,
            orders: orders.expect("the document of orders"),
            products: products.expect("the document of products"),
        }
    });
    let public = gateway::openapi(&passed_on).expect("the public documents");
    let mut made = Vec::new();
    for (passed_on, (version, public)) in passed_on.into_iter().zip(public) {
        let files = match version {
            Version::V1 => [
                "openapi-orders.json",
                "openapi-products.json",
                "openapi-gateway-v1.json",
            ],
            Version::V2 => [
                "openapi-orders-v2.json",
                "openapi-products-v2.json",
                "openapi-gateway-v2.json",
            ],
        };
        let documents = [passed_on.orders, passed_on.products, public];
        made.extend(
            files
                .into_iter()
                .zip(documents)
                .map(|(file, made)| Document {
                    file,
                    made,
                    breaks: breaking::of_openapi,
                }),
        );
    }
    made
}

#[test]
fn openapi_documents_are_what_the_code_makes() {
    for document in made() {
        check(&document);
    }
}

/// Generated clients name their functions by them.
#[test]
fn every_operation_is_described() {
    for Document { file, made, .. } in made() {
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&made) {
            let at = format!("{file}: {method} {path}");
            let id = operation["operationId"].as_str().expect(&at);
            assert!(ids.insert(id.to_owned()), "{at}: {id} is there twice");
            for needed in ["summary", "tags", "responses"] {
                assert!(!operation[needed].is_null(), "{at}: no {needed}");
            }
            let answers = operation["responses"].as_object().expect(&at);
            assert!(answers.keys().any(|status| status.starts_with('2')), "{at}");
            for status in ["400", "500", "503", "504"] {
                assert!(answers.contains_key(status), "{at}: no {status}");
            }
        }
        assert!(!ids.is_empty(), "{file}");
    }
}

/// Whoever reads the reference sees what comes. That each fits its schema is checked by `.ci/documents`, with a validator that is
/// not ours.
#[test]
fn every_answer_has_an_example() {
    for Document { file, made, .. } in made() {
        let mut shown = 0;
        for (path, method, operation) in operations(&made) {
            let answers = operation["responses"].as_object().expect("answers");
            for (status, answer) in answers {
                let answer = answer["$ref"]
                    .as_str()
                    .and_then(|reference| made.pointer(reference.trim_start_matches('#')))
                    .unwrap_or(answer);
                for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                    let has_one = ["example", "examples"]
                        .iter()
                        .any(|member| !content[*member].is_null());
                    assert!(has_one, "{file}: {method} {path}, {status}: {kind}");
                    shown += 1;
                }
            }
        }
        assert!(shown > 0, "{file}");
    }
}

/// A generated client has no type that no call takes or answers.
#[test]
fn every_schema_is_used() {
    for Document { file, made, .. } in made() {
        let mut found = BTreeSet::new();
        references(&made, &mut found);
        let schemas = made["components"]["schemas"].as_object().expect("schemas");
        for name in schemas.keys() {
            let reference = format!("#/components/schemas/{name}");
            assert!(
                found.contains(&reference),
                "{file}: nothing refers to {name}"
            );
        }
    }
}

/// The limits that clients read are those that the services keep.
#[test]
fn limits_are_those_of_the_domains() {
    for (orders, products) in [
        (orders::document(), products::document()),
        (orders::document_v2(), products::document_v2()),
    ] {
        hold_limits(&orders.expect("orders"), &products.expect("products"));
    }
    let v2 = orders::document_v2().expect("orders");
    let address = &v2["components"]["schemas"]["Address"]["properties"];
    for line in ["name", "street", "postal_code", "city"] {
        assert_eq!(
            address[line]["maxLength"],
            orders::domain::MAX_ADDRESS_LINE,
            "{line}"
        );
        assert_eq!(address[line]["pattern"], "\\S", "{line} is not blank");
    }
}

fn hold_limits(orders: &Value, products: &Value) {
    let schemas = &orders["components"]["schemas"];
    assert_eq!(
        schemas["NewOrder"]["properties"]["items"]["maxItems"],
        orders::domain::MAX_LINES
    );
    assert_eq!(
        schemas["NewOrderItem"]["properties"]["quantity"]["maximum"],
        orders::domain::MAX_QUANTITY
    );
    let list = products["paths"].as_object().expect("paths");
    let list = list.iter().find(|(path, _)| path.ends_with("/products"));
    let (_, list) = list.expect("the list of products");
    let parameters = list["get"]["parameters"].as_array();
    let limits: BTreeMap<_, _> = parameters
        .into_iter()
        .flatten()
        .map(|parameter| {
            (
                parameter["name"].as_str().expect("a name"),
                &parameter["schema"],
            )
        })
        .collect();
    assert_eq!(limits["q"]["maxLength"], products::domain::SEARCH_CHARS_MAX);
    assert_eq!(limits["page_size"]["maximum"], page::MAX_SIZE);
    assert_eq!(limits["page_token"]["maxLength"], page::MAX_TOKEN_BYTES);
}

/// What an answer may leave out is left out and never `null`: a generated client would have to mind both.
#[test]
fn what_may_be_missing_is_never_null() {
    for Document { file, made, .. } in made() {
        let answered = answered(&made);
        assert!(answered.contains("Problem"), "{file}");
        for name in answered {
            let schema = &made["components"]["schemas"][&name];
            let required = schema["required"].as_array();
            let members = schema["properties"].as_object();
            for (member, property) in members.into_iter().flatten() {
                let is_there = required.is_some_and(|all| all.iter().any(|one| one == member));
                assert!(
                    is_there || !allows_null(property),
                    "{file}: {name}/{member}"
                );
            }
        }
    }
}

/// The names of the schemas that answers are made of.
fn answered(made: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, _, operation) in operations(made) {
        references(&operation["responses"], &mut found);
    }
    // Until nothing new is referred to by what was found.
    let mut known = 0;
    while known < found.len() {
        known = found.len();
        for reference in found.clone() {
            let pointer = reference.trim_start_matches('#');
            references(made.pointer(pointer).unwrap_or(&Value::Null), &mut found);
        }
    }
    let schemas = found
        .iter()
        .filter_map(|reference| reference.strip_prefix("#/components/schemas/"));
    schemas.map(str::to_owned).collect()
}

fn allows_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    let (kinds, forms) = (schema["type"].as_array(), schema["oneOf"].as_array());
    kinds.into_iter().flatten().any(is_null)
        || forms
            .into_iter()
            .flatten()
            .any(|form| is_null(&form["type"]))
}

/// A generated client reads a format of 32 bits into a signed number of as many.
#[test]
fn what_has_32_bits_has_no_larger_bound() {
    for Document { file, made, .. } in made() {
        let mut counted = 0;
        bounded(&made, &mut |schema: &Value| {
            counted += 1;
            for bound in ["minimum", "maximum"] {
                let fits = |bound: i64| i32::try_from(bound).is_ok();
                assert!(schema[bound].as_i64().is_none_or(fits), "{file}: {schema}");
            }
        });
        assert!(counted > 0, "{file}");
    }
}

/// Calls for each schema of 32 bits in a value.
fn bounded(value: &Value, found: &mut impl FnMut(&Value)) {
    if value["format"] == "int32" {
        found(value);
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| bounded(value, found)),
        Value::Array(items) => items.iter().for_each(|value| bounded(value, found)),
        _ => {}
    }
}

/// What a reference leads to is there, so that the document is whole in itself.
#[test]
fn references_lead_somewhere() {
    for Document { file, made, .. } in made() {
        let mut found = BTreeSet::new();
        references(&made, &mut found);
        assert!(found.contains("#/components/schemas/Problem"), "{file}");
        for reference in found {
            let pointer = reference
                .strip_prefix('#')
                .expect("a reference within the document");
            assert!(made.pointer(pointer).is_some(), "{file}: {reference}");
        }
    }
}

/// Adds every reference in a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(Value::String(reference)) = value.get("$ref") {
        found.insert(reference.clone());
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| references(value, found)),
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
