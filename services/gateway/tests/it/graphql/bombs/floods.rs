//! Very many of one thing.

use serde_json::json;

use super::Target;

#[test]
fn floods_are_refused() {
    let target = Target::start();
    let many = |count: usize, of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<String>();
    // A list of one letter names each is what fits 16,000 times into a body at all.
    target.refuses(
        "16,000 aliases",
        413,
        json!({ "query": format!("{{{}}}", many(16_000, &|n| format!("a{n}:me{{id}}"))) })
            .to_string(),
    );
    target.refuses_query(
        "16,000 short aliases",
        &format!("{{{}}}", "a:b ".repeat(8_000)),
    );
    target.refuses_query(
        "4,000 aliases",
        &format!("{{{}}}", many(3_000, &|n| format!("a{n}:me "))),
    );
    target.refuses_query(
        "600 aliases",
        &format!("{{{}}}", many(600, &|n| format!("a{n}:__typename "))),
    );
    target.refuses_query(
        "51 aliases",
        &format!("{{{}}}", many(51, &|n| format!("a{n}:__typename "))),
    );
    target.refuses_query("16,000 fields", &format!("{{{}}}", "a ".repeat(16_000)));
    target.refuses_query(
        "1,900 unknown fields",
        &format!("{{{}}}", "a ".repeat(1_900)),
    );
    target.refuses_query(
        "900 unknown fields",
        &format!("{{{}}}", many(900, &|n| format!("u{n} "))),
    );
    target.refuses_query(
        "90 long names",
        &format!(
            "{{me{{{}}}}}",
            many(90, &|n| format!("{}{n} ", "u".repeat(120)))
        ),
    );
    target.refuses_query("one name", &format!("{{{}}}", "a".repeat(32_000)));
    target.refuses_query(
        "directives",
        &format!("{{me{{id{}}}}}", "@skip(if:false)".repeat(2_000)),
    );
    target.refuses_query(
        "directives",
        &format!("{{me{{id{}}}}}", "@a".repeat(16_000)),
    );
    target.refuses_query(
        "directives at the operation",
        &format!("query {}{{me{{id}}}}", "@a".repeat(51)),
    );
    target.refuses_query(
        "fragments",
        &format!(
            "{{me{{id}}}}{}",
            many(300, &|n| format!("fragment f{n} on User{{id}}"))
        ),
    );
    target.refuses_query(
        "operations",
        &many(300, &|n| format!("query q{n}{{me{{id}}}}")),
    );
    target.refuses_query(
        "variables",
        &format!(
            "query({}){{me{{id}}}}",
            many(400, &|n| format!("$v{n}:Int "))
        ),
    );
    target.refuses_query(
        "arguments",
        &format!("{{orders({}){{edges{{cursor}}}}}}", "first:1 ".repeat(600)),
    );
    target.refuses_query(
        "spreads",
        &format!(
            "{{{}}} fragment a on Query{{__typename}}",
            "...a ".repeat(600)
        ),
    );
    target.refuses_query(
        "lists",
        "{ users(first: 100) { edges { node { orders(first: 100) { edges { cursor } } } } } }",
    );
    target.refuses_query("lists by a variable", "query($n: Int = 100) { users(first: 50) { edges { node { orders(first: $n) { edges { cursor } } } } } }");
    target.refuses_query(
        "mutations",
        &format!(
            "mutation{{{}}}",
            many(11, &|n| format!(
                "a{n}:signIn(email:\"a\",password:\"b\"){{tokenType}} "
            ))
        ),
    );
    target.refuses_query(
        "a string",
        &format!("{{a(a:\"{}\")}}", "\\u0041".repeat(4_000)),
    );
    target.refuses_query("quotes", &"\"".repeat(15_000));
    target.refuses_query("nothing", &" ".repeat(32_000));
    target.refuses_query("a comment", &format!("#{}", "x".repeat(32_000)));

    let operation = json!({ "query": "{me{id}}" }).to_string();
    target.refuses(
        "10,000 operations",
        413,
        format!("[{}]", vec![operation.as_str(); 10_000].join(",")),
    );
    target.refuses(
        "1,000 operations",
        400,
        format!("[{}]", vec![operation.as_str(); 1_000].join(",")),
    );
    let document =
        |length: usize| json!({ "query": format!("{{me{{id}}}}#{}", "x".repeat(length)) });
    target.refuses("1 MB", 413, document(1_000_000).to_string());
    target.refuses("33 kB", 413, document(33_000).to_string());
}
