//! Values that are long, and looked at or copied in many places.

use serde_json::json;

use super::{Target, fragments};

#[test]
fn a_long_variable_is_not_copied_to_hundreds_of_places() {
    let target = Target::start();
    let long = vec![json!([]); 9_000];
    let uses = "$a".repeat(300);
    for (what, query) in [
        (
            "where a number stands",
            format!("query($a:Int){{orders(first:[{uses}]){{edges{{cursor}}}}}}"),
        ),
        (
            "in a condition, 256 times",
            fragments(4, 4, &format!("__typename@skip(if:[{uses}])")),
        ),
        (
            "in a list of objects",
            format!("mutation($a:[OrderLine!]!){{placeOrder(items:[{uses}]){{id}}}}"),
        ),
        (
            "with something between",
            format!(
                "{{orders(first:[{}]){{edges{{cursor}}}}}}",
                uses.replace('$', "$ ")
            ),
        ),
    ] {
        let body = json!({ "query": query, "variables": { "a": long } });
        target.refuses(what, 400, body.to_string());
    }
    // Nor is a default.
    let (long, uses) = ("1 ".repeat(400), "$a".repeat(250));
    target.refuses_query(
        "a default",
        &format!("query($a:[Int]=[{long}]){{orders(first:[{uses}]){{edges{{cursor}}}}}}"),
    );
}

#[test]
fn what_a_fragment_has_is_not_compared_wherever_it_is_spread() {
    let target = Target::start();
    let values = "1 ".repeat(750);
    for leaf in [
        format!("__typename@skip(if:[{values}])"),
        format!("__typename@skip(if:{{a:[{values}]}})"),
        format!("me(a:[{values}]){{id}}"),
    ] {
        target.refuses_query("a long value", &fragments(3, 9, &leaf));
        target.refuses_query("a long value, spread less", &fragments(3, 4, &leaf));
    }
    let arguments: String = (0..270).map(|n| format!("a{n}:1 ")).collect();
    target.refuses_query(
        "270 arguments",
        &fragments(3, 4, &format!("__typename({arguments})")),
    );
}
