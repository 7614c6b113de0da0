//! `@skip` and `@include`, and the variables that they take.

use contracts::identity::CUSTOMER;
use serde_json::{Value, json};

use super::{Graph, ME};
use crate::support::token_for;

async fn ask(graph: &Graph, query: &str, variables: Value) -> Value {
    let call = graph.post(&json!({ "query": query, "variables": variables }));
    let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

/// As an argument's does.
#[tokio::test]
async fn a_variable_that_is_not_sent_has_its_default() {
    let graph = Graph::start().await;
    let query = "query ($with: Boolean = true, $without: Boolean = true) {
        me { id name @include(if: $with) ...More @skip(if: $without) } }
        fragment More on User { email }";
    let (id, name, email) = (ME, "Ann", "ann@example.org");
    for (variables, expected) in [
        (json!({}), json!({ "id": id, "name": name })),
        (json!({ "with": false }), json!({ "id": id })),
        (
            json!({ "without": false }),
            json!({ "id": id, "name": name, "email": email }),
        ),
    ] {
        let seen = ask(&graph, query, variables).await;
        assert_eq!(seen["me"], expected);
    }
}

/// The library looks only at the place that a variable is used in, and these take null.
#[tokio::test]
async fn null_is_no_value_of_a_type_that_has_none() {
    let graph = Graph::start().await;
    let query = |defined: &str| {
        format!(
            "query ({defined}) {{ products(first: $n, after: $after) {{ edges {{ cursor }} }} }}"
        )
    };
    for (defined, variables) in [
        ("$n: Int, $after: String!", json!({ "after": null })),
        ("$n: Int! = 2, $after: String", json!({ "n": null })),
    ] {
        let call = graph.post(&json!({ "query": query(defined), "variables": variables }));
        let answer = call.send().await.ok(400);
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(
            (code, answer.get("data")),
            (&json!("bad-request"), None),
            "{defined}"
        );
    }
    assert_eq!(graph.goods.calls(), []);
    let defined = query("$n: Int! = 2, $after: String");
    let seen = ask(&graph, &defined, json!({ "after": null })).await;
    let edges = seen["products"]["edges"].as_array();
    assert_eq!(edges.map(Vec::len), Some(2), "{seen}");
}

/// Null would say that there is no such object, also where there always is one.
#[tokio::test]
async fn who_wants_nothing_of_an_object_gets_it_without_members() {
    let graph = Graph::start().await;
    let query = |of_me: &str| format!("query ($no: Boolean = false) {{ {of_me} }}");
    for (wanted, expected) in [
        ("me @include(if: $no) { id }", json!({})),
        ("me { id @include(if: $no) }", json!({ "me": {} })),
        (
            "me { ... on User @include(if: $no) { id } }",
            json!({ "me": {} }),
        ),
        (
            "orders(first: 2) { pageInfo { hasNextPage @skip(if: true) } edges { node { ...None } } }",
            json!({ "orders": { "pageInfo": {}, "edges": [{ "node": {} }, { "node": {} }] } }),
        ),
    ] {
        let none = match wanted.contains("...None") {
            true => " fragment None on Order { id @include(if: $no) }",
            false => "",
        };
        let seen = ask(&graph, &(query(wanted) + none), json!({})).await;
        assert_eq!(seen, expected, "{wanted}");
    }
    // Nothing that was asked for is lost, whatever it is called.
    let called =
        "{ me { type: __typename __emptied: id emptied: id } none: me { id @skip(if: true) } }";
    let kept = ask(&graph, called, json!({})).await;
    let me = json!({ "type": "User", "__emptied": ME, "emptied": ME });
    assert_eq!(kept, json!({ "me": me, "none": {} }));
}

/// The library's validation looks at no field of this name.
#[tokio::test]
async fn the_name_of_a_type_takes_the_conditions_that_other_fields_take() {
    let graph = Graph::start().await;
    let query = "query ($no: Boolean!) { __typename @skip(if: $no) me { type: __typename @include(if: $no) ...On } }
        fragment On on User { __typename @skip(if: true) id }";
    let seen = ask(&graph, query, json!({ "no": false })).await;
    assert_eq!(seen, json!({ "__typename": "Query", "me": { "id": ME } }));
    let seen = ask(&graph, query, json!({ "no": true })).await;
    assert_eq!(seen, json!({ "me": { "type": "User", "id": ME } }));

    for refused in [
        "{ __typename @skip }",
        "{ __typename @skip(if: 3) }",
        "{ __typename @skip(if: null) }",
        "{ __typename @skip(if: [true]) }",
        "{ __typename @include(if: true, unless: true) }",
        "{ __typename @skip(if: true) @skip(if: false) }",
        "{ __typename @unknown(if: true) }",
        "query ($name: String!) { __typename @skip(if: $name) }",
        "{ __typename(of: 1) }",
        "{ __typename { name } }",
        "{ me { ... on User { __typename(of: 1) } } }",
    ] {
        let variables = json!({ "name": "Ann" });
        let call = graph.post(&json!({ "query": refused, "variables": variables }));
        let call = call.token(&token_for(ME, CUSTOMER));
        let answer = call.send().await.ok(400);
        assert_eq!(answer.get("data"), None, "{refused}: {answer}");
    }
}
