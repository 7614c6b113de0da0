//! The purchase by a client that knows GraphQL only.

use scenarios::wait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::Open;

pub(crate) fn purchase(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(10);
    // The data of an answer without errors.
    let ask = |token: Option<&str>, query: &str, variables: Value| -> Value {
        let body = json!({ "query": query, "variables": variables });
        let answer = shop.post("/graphql", token, &body).expect(200).json;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"].clone()
    };

    let credentials = json!({
        "email": format!("{}@example.org", Uuid::new_v4().simple()), "password": "correct horse battery",
    });
    let data = ask(
        None,
        "mutation($email: String!, $password: String!) {
            signUp(email: $email, name: \"Ada Example\", password: $password) { id email }
            signIn(email: $email, password: $password) { accessToken } }",
        credentials.clone(),
    );
    assert_eq!(data["signUp"]["email"], credentials["email"]);
    let token = data["signIn"]["accessToken"].as_str().expect("a token");

    let place = "mutation($product: ID!) {
        placeOrder(items: [{productId: $product, quantity: 2}], idempotencyKey: \"by-graphql\") {
            id status total { amount } items { unitPrice { amount } product { id name available } } } }";
    let placed = ask(Some(token), place, json!({ "product": product }))["placeOrder"].clone();
    assert_eq!(placed["status"], "PENDING");
    let item = &placed["items"][0];
    assert_eq!(item["product"]["id"], product.as_str());
    let price = item["unitPrice"]["amount"].as_i64().expect("a price");
    assert_eq!(placed["total"]["amount"], price * 2);
    // The same key again is the same order.
    let again = ask(Some(token), place, json!({ "product": product }));
    assert_eq!(again["placeOrder"]["id"], placed["id"]);

    let look =
        "{ me { orders(first: 5) { edges { node { id status items { product { name } } } } } } }";
    let order = wait::until("the order is confirmed", || {
        let data = ask(Some(token), look, json!({}));
        let edges = data["me"]["orders"]["edges"].clone();
        assert_eq!(edges.as_array().map(Vec::len), Some(1), "{data}");
        let order = edges[0]["node"].clone();
        (order["status"] == "CONFIRMED").then_some(order)
    });
    assert_eq!(order["id"], placed["id"]);
    assert_eq!(
        order["items"][0]["product"]["name"],
        item["product"]["name"]
    );
    assert_eq!(shop.available(&product), before - 2);

    // In the list of goods, walked by cursors.
    let (mut after, mut found) = (Value::Null, false);
    while !found {
        let list = "query($after: String) { products(first: 7, after: $after) {
            edges { node { id } } pageInfo { hasNextPage endCursor } } }";
        let page = ask(None, list, json!({ "after": after }))["products"].clone();
        let edges = page["edges"].as_array().expect("edges");
        found = edges
            .iter()
            .any(|edge| edge["node"]["id"] == product.as_str());
        assert!(found || page["pageInfo"]["hasNextPage"] == true, "{page}");
        after = page["pageInfo"]["endCursor"].clone();
    }

    let cancel = "mutation($id: ID!) { cancelOrder(id: $id) { status } }";
    let id = json!({ "id": placed["id"] });
    let cancelled = ask(Some(token), cancel, id.clone());
    assert_eq!(cancelled["cancelOrder"]["status"], "CANCELLED");
    // Somebody else's is not there.
    let other = shop.customer();
    let body = json!({ "query": "query($id: ID!) { order(id: $id) { status } }", "variables": id });
    let answer = shop
        .post("/graphql", Some(&other.token), &body)
        .expect(200)
        .json;
    assert_eq!(answer["data"]["order"], Value::Null);
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "not-found",
        "{answer}"
    );
}
