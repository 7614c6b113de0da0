//! Fields of one name in the answer.

use contracts::identity::CUSTOMER;
use serde_json::json;
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::token_for;

#[tokio::test]
async fn fields_of_one_name_are_one_field_or_refused() {
    let graph = Graph::start().await;
    let token = token_for(ME, CUSTOMER);
    let product = |n: u128| format!("a: product(id: \"{}\")", Uuid::from_u128(n));
    let (one, two) = (product(1), product(2));
    // The library finds none of these: it compares what stands in one selection, and in a fragment on the same type nothing.
    for query in [
        format!("{{ {one} {{ name }} ... on Query {{ {two} {{ id }} }} }}"),
        format!("{{ {one} {{ name }} ...More }} fragment More on Query {{ {two} {{ id }} }}"),
        format!("{{ me {{ id }} ... on Query {{ me: user(id: \"{ME}\") {{ name }} }} }}"),
        "{ me { called: name } ... on Query { me { called: email } } }".to_owned(),
        "{ me { orders(first: 1) { edges { cursor } } } me { orders(first: 2) { edges { node { id } } } } }"
            .to_owned(),
        "query ($n: Int = 1) { ... on Query { me { orders(first: $n) { edges { cursor } } } }
            me { orders { edges { cursor } } } }"
            .to_owned(),
    ] {
        let call = graph.post(&json!({ "query": query })).token(&token);
        let answer = call.send().await.ok(400);
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(
            (code, answer.get("data")),
            (&json!("bad-request"), None),
            "{query}"
        );
    }
    assert_eq!((graph.goods.calls(), graph.users_asked()), (vec![], 0));

    // The same in two places is one, with all that is asked of it; what is left out stands for nothing.
    let more = "orders(first: 1) { edges { node { id } } }";
    let query = format!(
        "{{ {one} {{ name }} me {{ orders(first: 1) {{ edges {{ cursor }} }} }} b: me @skip(if: true) {{ id }} ...More }}
        fragment More on Query {{ {one} {{ id }} me {{ {more} }} b: product(id: \"{}\") {{ name }} }}",
        Uuid::from_u128(2)
    );
    let seen = graph.ask(&query).await;
    let id = Uuid::from_u128(1);
    assert_eq!(seen["a"], json!({ "name": "Product 1", "id": id }));
    assert_eq!(seen["b"], json!({ "name": "Product 2" }));
    let edge = &seen["me"]["orders"]["edges"][0];
    assert!(
        edge["cursor"].is_string() && edge["node"]["id"].is_string(),
        "{edge}"
    );
}
