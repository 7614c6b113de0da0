//! Questions about the schema that are made to cost. Nothing is waited for while they are answered, so no deadline ends them.

use http::StatusCode;
use serde_json::json;

use super::{CPU_MAX, Target, cheapest};

#[test]
fn introspection_does_not_go_round() {
    let target = Target::start();
    let mut query = "name".to_owned();
    for _ in 0..5 {
        query = format!("fields {{ type {{ {query} }} }}");
        target.refuses_query_or_bounded(&format!("{{ __schema {{ types {{ {query} }} }} }}"));
    }
    target.refuses_query(
        "types of fields",
        "{ __schema { types { fields { type { fields { type { name } } } } } } }",
    );
    target.refuses_query(
        "possible types",
        "{ __type(name: \"User\") { possibleTypes { fields { name } } } }",
    );
    target.refuses_query(
        "by fragments",
        "{ __schema { types { ...a } } } fragment a on __Type { fields { type { ...b } } } fragment b on __Type { inputFields { name } }",
    );
    let wide: String = (0..20)
        .map(|n| format!("a{n}:__schema{{types{{name fields{{name args{{name}}}}}}}} "))
        .collect();
    target.refuses_query("beside each other", &format!("{{{wide}}}"));
}

impl Target {
    /// One level is what tools ask for; all beyond it is refused.
    #[track_caller]
    fn refuses_query_or_bounded(&self, query: &str) {
        let cost = self.send(json!({ "query": query }).to_string());
        if query.matches("fields").count() > 1 {
            assert_eq!(cost.status, StatusCode::BAD_REQUEST, "{query}");
        }
        assert!(
            cost.cpu < CPU_MAX.saturating_mul(4),
            "{query}: {:?}",
            cost.cpu
        );
    }
}

/// All of these are short and flat, and the product of their lists is what they cost.
#[test]
fn introspection_is_bounded_like_any_query() {
    let target = Target::start();
    let of_types = |fields: &str| format!("{{__schema{{types{{{fields}}}}}}}");
    for (what, query) in [
        (
            "980 names",
            of_types(&format!("fields{{type{{{}}}}}", "name ".repeat(980))),
        ),
        ("240 lists of fields", of_types(&"fields{name}".repeat(240))),
        (
            "240 lists of possible types",
            of_types(&"possibleTypes{name}".repeat(240)),
        ),
        (
            "130 chains of types",
            of_types(&format!(
                "fields{{type{{{}}}}}",
                "ofType{ofType{name}}".repeat(130)
            )),
        ),
        (
            "240 lists of types",
            format!("{{__schema{{{}}}}}", "types{name}".repeat(240)),
        ),
        (
            "30 fragments of 30 names",
            format!(
                "{}fragment a on __Type{{{}}}",
                of_types(&format!("fields{{type{{{}}}}}", "...a ".repeat(30))),
                "name ".repeat(30)
            ),
        ),
    ] {
        let body = json!({ "query": query }).to_string();
        let cost = cheapest(|| target.send(body.clone()));
        target.is_cheap(what, 400, &cost);
        let said = cost.body.contains("in its questions about the schema");
        assert!(said, "{what} is refused by another limit: {}", cost.body);
    }
    for question in ["__schema{queryType{name}}", "__type(name:\"User\"){name}"] {
        let many: String = (0..50).map(|n| format!("a{n}:{question} ")).collect();
        target.refuses_query("50 questions", &format!("{{{many}}}"));
    }
}

/// What is just allowed.
#[test]
fn the_heaviest_introspection_is_answered_soon() {
    let target = Target::start();
    let query = format!(
        "{{__schema{{types{{fields{{type{{{}}}}}}}}}}}",
        "name ".repeat(35)
    );
    let cost = target.send(json!({ "query": query }).to_string());
    assert_eq!(cost.status, StatusCode::OK, "{}", cost.body);
    assert!(cost.cpu < CPU_MAX.saturating_mul(4), "{:?}", cost.cpu);
}
