use async_graphql::parser::types::{BaseType, TypeKind, TypeSystemDefinition};
use async_graphql::parser::{parse_query, parse_schema};
use serde_json::json;

use super::*;
use crate::graphql::sdl;

fn weight(query: &str, variables: serde_json::Value) -> u64 {
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
    scales
        .set(&operation.selection_set, within, 0)
        .unwrap()
        .cost
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
        ("{ ...missing }", 0),
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
