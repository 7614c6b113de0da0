//! Schemas that nothing refers to: a client that is generated from the document would have types that no call answers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::SCHEMAS;

/// Leaves out the schemas to which no reference leads, neither from an operation or a shared answer nor from another schema
/// that is kept.
pub(super) fn leave_out(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut open = Vec::new();
    collect(&document["paths"], &mut open);
    collect(&document["components"]["responses"], &mut open);
    while let Some(name) = open.pop() {
        collect(&document["components"]["schemas"][&name], &mut open);
        // Types may refer to themselves: each is looked at once.
        open.retain(|next| !used.contains(next) && *next != name);
        used.insert(name);
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// Adds the names of the schemas that `value` refers to.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|reference| reference.strip_prefix(SCHEMAS));
            names.extend(name.map(str::to_owned));
            members.values().for_each(|member| collect(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_referred_to_by_what_is_kept_is_kept() {
        let reference = |name: &str| json!({"$ref": format!("{SCHEMAS}{name}")});
        let mut document = json!({
            "paths": {"/a": {"get": {"responses": {"200": {"schema": reference("Page")}}}}},
            "components": {
                "responses": {"404": {"schema": reference("Problem")}},
                "schemas": {
                    "Page": {"items": [reference("Tree")]},
                    "Tree": {"children": reference("Tree"), "root": reference("Page")},
                    "Problem": {},
                    "Forgotten": {"one": reference("ByAForgottenOne")},
                    "ByAForgottenOne": {},
                },
            },
        });
        leave_out(&mut document);
        let kept: Vec<_> = document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert!(
            !kept.iter().any(|name| name.contains("Forgotten")),
            "{kept:?}"
        );
    }
}
