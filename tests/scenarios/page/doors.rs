//! What the gateway shows to developers: the console of GraphQL, and the reference of the API.

use chassis::openapi::operations;
use scenarios::Marketplace;
use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use serde_json::Value;

use super::{DESK, PHONE_AT_NIGHT, accessible, assert_calm, sees_all};

/// A query that anybody may send.
const QUERY: &str = "{ products(first: 2) { edges { node { name } } } }";

/// The console asks and shows the schema, the reference shows each operation, and neither complains or asks another host. What is
/// ours is read by the checker of accessibility; the reference is Swagger UI's.
pub(crate) fn console_and_reference(market: &mut Embedded) {
    let document = market.shop().get("/openapi.json?version=v2", None);
    let described = operations(&document.expect(200).json).count() as u64;
    for screen in [DESK, PHONE_AT_NIGHT] {
        let browser = Browser::open(&market.endpoint("gateway"), screen);
        browser.go("/graphql");
        console(&browser);
        browser.go("/docs");
        browser.until_text(".info .title", "Agora");
        browser.until_count(".opblock", described);
        assert_calm(&browser);
    }
}

fn console(browser: &Browser) {
    browser.until_text("#schema-status", "types.");
    assert_eq!(browser.text("#schema details[open] summary"), "Query");
    assert!(browser.text("#schema details[open]").contains("products"));

    let write = "document.querySelector('#query').value = arguments[0]";
    let _ = browser.run(write, &[QUERY.into()]);
    browser.click("#request button");
    browser.until_text("#status", "Status 200");
    browser.until_text("#status", "0 errors");
    let answer: Value = serde_json::from_str(&browser.text("#answer")).expect("JSON");
    let name = &answer["data"]["products"]["edges"][1]["node"]["name"];
    assert!(name.is_string(), "{answer}");

    accessible::check(browser, "the console");
    sees_all(browser);
    assert_calm(browser);
}
