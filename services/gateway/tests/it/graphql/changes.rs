//! Mutations.

use contracts::identity::CUSTOMER;
use serde_json::json;
use uuid::Uuid;

use super::{Graph, ME};
use crate::support::token_for;

#[tokio::test]
async fn a_customer_signs_up_and_in_and_orders() {
    let graph = Graph::start().await;
    let query = "mutation { signUp(email: \"new@example.org\", name: \"New\", password: \"correct horse\") { email name }
        signIn(email: \"new@example.org\", password: \"correct horse\") { tokenType expiresIn accessToken } }";
    let answer = graph.post(&json!({ "query": query })).send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let data = answer.ok(200)["data"].clone();
    assert_eq!(
        data["signUp"],
        json!({ "email": "new@example.org", "name": "New" })
    );
    assert_eq!(data["signIn"]["expiresIn"], 900);
    // users counts attempts by the client's address.
    let address = Some(vec!["127.0.0.1".to_owned()]);
    assert_eq!(*graph.users.forwarded_for.lock(), address);

    let token = data["signIn"]["accessToken"].as_str().unwrap();
    let query =
        "mutation($items: [OrderLine!]!) { placeOrder(items: $items, idempotencyKey: \"k-1\") {
        id status items { product { name } } } }";
    let items = json!({ "items": [{ "productId": Uuid::from_u128(1), "quantity": 2 }] });
    let call = graph.post(&json!({ "query": query, "variables": items }));
    let answer = call.token(token).send().await.ok(200);
    assert_eq!(
        answer["data"]["placeOrder"]["items"][0]["product"]["name"],
        "Product 2"
    );
    assert_eq!(graph.goods.key.lock().as_deref(), Some("k-1"));

    let id = Uuid::from_u128(1);
    let query = format!("mutation {{ cancelOrder(id: \"{id}\") {{ id }} }}");
    assert_eq!(graph.ask(&query).await["cancelOrder"]["id"], id.to_string());
    assert_eq!(
        graph.goods.calls(),
        [("place", 1), ("products", 2), ("cancel", 1)]
    );
}

#[tokio::test]
async fn an_order_goes_where_it_is_sent_to() {
    let graph = Graph::start().await;
    let query = "mutation($items: [OrderLine!]!, $to: AddressInput) {
        placeOrder(items: $items, shippingAddress: $to) {
            shippingAddress { name street postalCode city country } } }";
    let items = json!([{ "productId": Uuid::from_u128(1), "quantity": 2 }]);
    let address = json!({
        "name": "Ada", "street": "12 St James's Square", "postalCode": null, "city": "London", "country": "GB",
    });
    for to in [address, json!(null)] {
        let variables = json!({ "items": items, "to": to });
        let call = graph.post(&json!({ "query": query, "variables": variables }));
        let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
        assert_eq!(answer["errors"], json!(null), "{answer}");
        assert_eq!(answer["data"]["placeOrder"]["shippingAddress"], to);
    }
}

#[tokio::test]
async fn what_cannot_be_changed_says_why() {
    let graph = Graph::start().await;
    let me = token_for(ME, CUSTOMER);
    let sign_up = |email: &str| {
        format!("mutation {{ signUp(email: \"{email}\", name: \"x\", password: \"x\") {{ id }} }}")
    };
    let sign_in = |email: &str| {
        format!("mutation {{ signIn(email: \"{email}\", password: \"wrong\") {{ tokenType }} }}")
    };
    let place = |items: &str, key: &str| {
        format!("mutation {{ placeOrder(items: [{items}], idempotencyKey: \"{key}\") {{ id }} }}")
    };
    let cancel = |id: &str| format!("mutation {{ cancelOrder(id: \"{id}\") {{ id }} }}");
    let line = format!("{{productId: \"{ME}\", quantity: 1}}");
    for (field, query, code) in [
        ("signUp", sign_up("taken@example.org"), "conflict"),
        ("signUp", sign_up("nobody"), "unprocessable"),
        ("signUp", sign_up("quota@example.org"), "too-many-requests"),
        ("signUp", sign_up("crash@example.org"), "internal-error"),
        ("signIn", sign_in("ann@example.org"), "bad-credentials"),
        (
            "signIn",
            sign_in("guessed@example.org"),
            "too-many-requests",
        ),
        ("placeOrder", place("", "k"), "unprocessable"),
        (
            "placeOrder",
            place(&line, "reused"),
            "idempotency-key-reused",
        ),
        (
            "placeOrder",
            place("{productId: \"x\", quantity: -1}", "k"),
            "unprocessable",
        ),
        // On its way it would be the key `k`.
        ("placeOrder", place(&line, "k "), "bad-request"),
        ("cancelOrder", cancel(&Uuid::nil().to_string()), "conflict"),
        ("cancelOrder", cancel("x"), "not-found"),
    ] {
        assert_eq!(
            graph.code_of(Some(&me), field, &query).await,
            code,
            "{query}"
        );
    }
    for (field, query) in [
        ("placeOrder", place(&line, "k")),
        ("cancelOrder", cancel("x")),
    ] {
        assert_eq!(graph.code_of(None, field, &query).await, "unauthorized");
    }
}

/// Two fields of one name are one field, and the library would make its change twice.
#[tokio::test]
async fn a_change_that_is_there_twice_is_not_made() {
    let graph = Graph::start().await;
    let id = Uuid::from_u128(1);
    let ask = async |document: &str| {
        let variables = json!({ "id": id, "no": false });
        let call = graph.post(&json!({ "query": document, "variables": variables }));
        call.token(&token_for(ME, CUSTOMER)).send().await
    };
    let mutation = "mutation ($id: ID!, $no: Boolean!)";
    let more = "fragment More on Mutation { cancelOrder(id: $id) { status } }";
    for twice in [
        "{ cancelOrder(id: $id) { id } cancelOrder(id: $id) { status @skip(if: $no) } }".to_owned(),
        format!("{{ cancelOrder(id: $id) {{ id @skip(if: $no) }} ...More }} {more}"),
        format!("{{ ...More ... @skip(if: $no) {{ ...More }} }} {more}"),
    ] {
        let answer = ask(&format!("{mutation} {twice}")).await.ok(400);
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!((code, answer.get("data")), (&json!("bad-request"), None));
    }
    assert_eq!(graph.goods.calls(), []);
    // Under another name it is another one, and what is left out is none.
    let once = "{ cancelOrder(id: $id) { id } again: cancelOrder(id: $id) { id }
        cancelOrder(id: $id) @include(if: $no) { status } __typename ... { __typename } }";
    let answer = ask(&format!("{mutation} {once}")).await.ok(200);
    assert_eq!(answer["data"]["again"]["id"], id.to_string(), "{answer}");
    assert_eq!(graph.goods.calls(), [("cancel", 1); 2]);
}

#[tokio::test]
async fn without_a_variable_that_is_required_nothing_is_changed() {
    let graph = Graph::start().await;
    let query = format!(
        "mutation ($id: ID!) {{ cancelOrder(id: \"{}\") {{ id }} again: cancelOrder(id: $id) {{ id }} }}",
        Uuid::from_u128(1)
    );
    for variables in [json!({}), json!({ "id": null }), json!({ "other": 1 })] {
        let call = graph.post(&json!({ "query": query, "variables": variables }));
        let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(400);
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!((code, answer.get("data")), (&json!("bad-request"), None));
    }
    assert_eq!(graph.goods.calls(), []);
}

/// The library would find it while it executes, after the change before it.
#[tokio::test]
async fn what_is_no_object_where_one_is_taken_changes_nothing() {
    let graph = Graph::start().await;
    let line = format!("{{productId: \"{ME}\", quantity: 1}}");
    let cancel = format!("cancelOrder(id: \"{}\") {{ id }}", Uuid::from_u128(1));
    let place = |arguments: &str| {
        format!(
            "mutation ($some: [OrderLine!]!, $to: AddressInput) {{ {cancel}
            ...More @include(if: true) }} fragment More on Mutation {{
            placeOrder({arguments}) {{ id }}
            other: placeOrder(items: $some, shippingAddress: $to) {{ id }} }}"
        )
    };
    let good = json!([{ "productId": ME, "quantity": 1 }]);
    for (arguments, some, to) in [
        ("items: [\"x\"]".to_owned(), &good, json!(null)),
        ("items: [[]]".to_owned(), &good, json!(null)),
        (format!("items: [{line}, 7]"), &good, json!(null)),
        (
            format!("items: [{line}], shippingAddress: \"x\""),
            &good,
            json!(null),
        ),
        (
            format!("items: [{line}], shippingAddress: [{{}}]"),
            &good,
            json!(null),
        ),
        (format!("items: {line}"), &json!(["x"]), json!(null)),
        (format!("items: {line}"), &json!([null]), json!(null)),
        (format!("items: {line}"), &json!([[good]]), json!(null)),
        (format!("items: {line}"), &json!(true), json!(null)),
        (format!("items: {line}"), &good, json!("x")),
    ] {
        let variables = json!({ "some": some, "to": to });
        let query = place(&arguments);
        let call = graph.post(&json!({ "query": query, "variables": variables }));
        let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(400);
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(
            (code, answer.get("data")),
            (&json!("bad-request"), None),
            "{arguments} {variables}"
        );
    }
    assert_eq!(graph.goods.calls(), []);
    // One in place of a list is a list of one.
    let variables = json!({ "some": good });
    let query = place(&format!("items: {line}"));
    let call = graph.post(&json!({ "query": query, "variables": variables }));
    let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
    assert_eq!(answer["errors"], json!(null), "{answer}");
    let made = [("cancel", 1), ("place", 1), ("place", 1)];
    assert_eq!(graph.goods.calls(), made);
}

/// The last one would be ordered, and whoever looked at the request before may have taken the first.
#[tokio::test]
async fn a_member_that_is_given_twice_orders_nothing() {
    let graph = Graph::start().await;
    let written = format!(
        "mutation {{ placeOrder(items: [{{productId: \"{ME}\", quantity: 1, quantity: 1000}}]) {{ id }} }}"
    );
    let sent = "mutation ($items: [OrderLine!]!) { placeOrder(items: $items) { id } }";
    let line = format!("{{\"productId\": \"{ME}\", \"quantity\": 1, \"quantity\": 1000}}");
    for body in [
        json!({ "query": written }).to_string(),
        format!(
            "{{\"query\": {}, \"variables\": {{\"items\": [{line}]}}}}",
            json!(sent)
        ),
    ] {
        let call = graph
            .gateway
            .post("/graphql")
            .header("content-type", "application/json");
        let call = call.token(&token_for(ME, CUSTOMER)).body(body.clone());
        let answer = call.send().await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    assert_eq!(graph.goods.calls(), []);
}

#[tokio::test]
async fn wrong_fields_are_named_by_where_they_are() {
    let graph = Graph::start().await;
    let query = "mutation { placeOrder(items: [{productId: \"x\", quantity: -1}]) { id } }";
    let call = graph.post(&json!({ "query": query }));
    let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
    let extensions = &answer["errors"][0]["extensions"];
    let errors = json!([
        { "pointer": "/items/0/productId", "detail": "must be a UUID" },
        { "pointer": "/items/0/quantity", "detail": "must be at least 1" },
    ]);
    assert_eq!(
        (&extensions["errors"], &extensions["status"]),
        (&errors, &json!(422))
    );
    // What has more than 32 bits takes nothing from the change before it, and is null.
    let query = "mutation { cancelOrder(id: \"x\") { id }
        placeOrder(items: [{productId: \"x\", quantity: 5000000000}]) { id } }";
    let call = graph.post(&json!({ "query": query }));
    let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
    let none = json!({ "cancelOrder": null, "placeOrder": null });
    assert_eq!(answer["data"], none, "{answer}");
    let pointer = &answer["errors"][1]["extensions"]["errors"][1]["pointer"];
    assert_eq!(pointer, "/items/0/quantity", "{answer}");
    // What a service says of its own fields, too.
    let query = "mutation { placeOrder(items: []) { id } }";
    let call = graph.post(&json!({ "query": query }));
    let answer = call.token(&token_for(ME, CUSTOMER)).send().await.ok(200);
    let errors = &answer["errors"][0]["extensions"]["errors"];
    assert_eq!(errors[0]["pointer"], "/items/0/productId", "{answer}");
}

#[tokio::test]
async fn an_error_says_after_how_long_to_retry() {
    let graph = Graph::start().await;
    let query =
        "mutation { signUp(email: \"quota@example.org\", name: \"x\", password: \"x\") { id } }";
    let answer = graph.post(&json!({ "query": query })).send().await.ok(200);
    assert_eq!(answer["errors"][0]["extensions"]["retryAfter"], 9);
}
