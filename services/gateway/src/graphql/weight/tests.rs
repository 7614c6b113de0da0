use async_graphql::parser::types::{BaseType, TypeKind, TypeSystemDefinition};
use async_graphql::parser::{parse_query, parse_schema};
use serde_json::json;

use super::introspection::SIZES;
use super::*;
use crate::graphql::schema::shop;
use crate::graphql::sdl;

/// All that the specification has, as graphql-js asks for it.
const TOOLS: &str = include_str!("tools.graphql");

fn weight(query: &str, variables: serde_json::Value) -> u64 {
    weigh(query, variables).cost
}

fn weigh(query: &str, variables: serde_json::Value) -> Weight {
    let document = parse_query(query).unwrap();
    let variables = Variables::from_json(variables);
    let operations: Vec<_> = document.operations.iter().map(|(_, it)| &it.node).collect();
    let mut scales = Scales {
        document: &document,
        variables: &variables,
        operations: &operations,
        introspection: true,
        fragments: HashMap::new(),
    };
    let operation = operations[0];
    let within = Within::top(operation.ty);
    scales.set(&operation.selection_set, within, 0).unwrap()
}

#[test]
fn fields_count_as_often_as_the_lists_around_them_have_items() {
    for (query, expected) in [
        ("{ me { id name } }", CALL + 2),
        (
            "{ a: me { id } b: me { id } __typename }",
            2 * (CALL + 1) + 1,
        ),
        ("{ orders { edges { cursor } } }", CALL + 20 * 2),
        ("{ orders(first: 3) { edges { cursor } } }", CALL + 3 * 2),
        (
            "{ orders(first: null) { edges { cursor } } }",
            CALL + 20 * 2,
        ),
        ("{ orders(first: -3) { edges { cursor } } }", CALL + 100 * 2),
        (
            "{ orders(first: 1000000) { edges { cursor } } }",
            CALL + 100 * 2,
        ),
        ("{ orders(first: 0) { edges { cursor } } }", CALL + 2),
        (
            "{ order(id: 1) { items { product { name } } } }",
            CALL + 1 + 5 * 2,
        ),
        (
            "{ users(first: 4) { e { n { orders(first: 5) { e } } } } }",
            CALL + 4 * (3 + 5),
        ),
        ("query($n: Int) { orders(first: $n) { e } }", CALL + 7),
        ("query($m: Int = 9) { orders(first: $m) { e } }", CALL + 9),
        ("query($m: Int) { orders(first: $m) { e } }", CALL + 20),
        ("query($x: Int) { orders(first: $x) { e } }", CALL + 100),
        ("mutation { signIn(email: 1) { tokenType } }", CHANGE + 1),
        (
            "{ ...a ... on Query { ...a } ... { ...a } } fragment a on Query { me { id } }",
            3 * (CALL + 1),
        ),
    ] {
        let variables = json!({ "n": 7, "x": "100" });
        assert_eq!(weight(query, variables), expected, "{query}");
    }
}

/// A list that nobody knows of would cost nothing.
#[test]
fn all_lists_of_the_schema_are_weighed() {
    let schema = parse_schema(sdl()).unwrap();
    let mut lists = 0;
    for definition in schema.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let TypeKind::Object(object) = definition.node.kind else {
            continue;
        };
        for field in object.fields {
            let (name, ty) = (field.node.name.node.as_str(), &field.node.ty.node.base);
            let is_list = match ty {
                BaseType::List(_) => true,
                BaseType::Named(name) => name.ends_with("Connection"),
            };
            // A connection is weighed where it begins.
            if is_list && name != "edges" {
                assert!(
                    LISTS.iter().any(|(known, _)| *known == name),
                    "{name}: {ty:?}"
                );
                lists += 1;
            }
        }
    }
    assert_eq!(
        lists,
        LISTS.len() + 1,
        "orders are both a user's and one's own"
    );
}

#[test]
fn fields_of_introspection_count_as_often_as_the_schema_has_them() {
    for (query, expected) in [
        ("{ __schema { queryType { name } } }", 2),
        ("{ __schema { types { name kind } } }", 1 + 40 * 2),
        (
            "{ __schema { types { ...a } } } fragment a on __Type { name }",
            1 + 40,
        ),
        (
            "{ __schema { types { fields { type { name name } } } } }",
            1 + 40 * (1 + 4 * (1 + 2)),
        ),
        ("{ __type(name: 1) { possibleTypes { name } } }", 2),
        ("{ __schema { directives { locations } } }", 1 + 5 * 4),
        // Each level of a chain counts half of what is in it.
        ("{ __type(name: 1) { ofType { name } } }", 2),
        (
            "{ __type(name: 1) { ofType { kind name ofType { kind name } } } }",
            3,
        ),
        ("{ me { id } orders { edges { cursor } } }", 0),
    ] {
        assert_eq!(weigh(query, json!({})).introspection, expected, "{query}");
    }
}

#[test]
fn no_field_takes_half_as_many_arguments_as_are_allowed() {
    for definition in parse_schema(sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let TypeKind::Object(object) = definition.node.kind else {
            continue;
        };
        for field in object.fields {
            let arguments = field.node.arguments.len();
            assert!(2 * arguments < ARGUMENTS_MAX, "{}", field.node.name.node);
        }
    }
}

#[test]
fn what_the_usual_tools_ask_of_the_schema_is_within_the_limit() {
    let weight = weigh(TOOLS, json!({}));
    assert!(weight.check().is_ok(), "{weight:?}");
}

/// A list that has grown would cost less than it does.
#[tokio::test]
async fn lists_of_introspection_are_not_longer_than_they_are_taken_to_be() {
    let query = "{ __schema { types {
        fields(includeDeprecated: true) { args { name } } inputFields { name } interfaces { name }
        possibleTypes { name } enumValues(includeDeprecated: true) { name }
    } directives { locations args { name } } } }";
    let answer = shop(true).execute(query).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let seen = answer.data.into_json().unwrap();
    let mut lists = HashMap::new();
    count(&seen, &mut lists);
    assert_eq!(lists.len(), SIZES.len(), "{lists:?}");
    for (list, size) in SIZES {
        let (having, items) = lists[list];
        assert!(items <= size * having, "{list}: {items} in {having}");
    }
}

/// Adds up, for each list by its name, how many have it and how many items it has at all of them.
fn count(seen: &serde_json::Value, lists: &mut HashMap<String, (u64, u64)>) {
    if let Some(object) = seen.as_object() {
        for (name, value) in object {
            if value.is_array() || value.is_null() {
                let (having, items) = lists.entry(name.clone()).or_default();
                *having += 1;
                *items += value.as_array().map_or(0, |all| all.len() as u64);
            }
            count(value, lists);
        }
    }
    for item in seen.as_array().into_iter().flatten() {
        count(item, lists);
    }
}
