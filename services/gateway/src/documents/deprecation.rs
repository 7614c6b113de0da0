//! Marks operations that have a successor as deprecated.

use chassis::openapi::operations;
use serde_json::{Value, json};

use crate::versions::Version;

/// Marks in the document of `version` the operations that are in the document of `next`, too.
pub(super) fn mark(document: &mut Value, version: Version, next: Version, successors: &Value) {
    let followed: Vec<_> = operations(successors)
        .filter_map(|(path, method, _)| {
            let path = path.strip_prefix(next.root())?;
            Some((format!("{}{path}", version.root()), method))
        })
        .collect();
    for (path, method) in followed {
        let item = document["paths"].get_mut(&path);
        if let Some(operation) = item.and_then(|item| item.get_mut(method)) {
            operation["deprecated"] = json!(true);
            let answers = operation["responses"].as_object_mut().into_iter().flatten();
            // Other operations share the components of problems, so the headers are only declared for successes.
            for (_, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
                say(answer, next);
            }
        }
    }
}

fn say(answer: &mut Value, next: Version) {
    for (name, description) in [
        (
            "Deprecation",
            "Since when this is deprecated (RFC 9745).".to_owned(),
        ),
        (
            "Sunset",
            "Until when it is there at least (RFC 8594).".to_owned(),
        ),
        (
            "Link",
            format!("`successor-version`: where {} of it is.", next.name()),
        ),
    ] {
        answer["headers"][name] = json!({"description": description, "schema": {"type": "string"}});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_successor_is_not_deprecated() {
        let operation =
            || json!({"responses": {"200": {"description": ""}, "404": {"$ref": "#/x"}}});
        let mut v1 = json!({"paths": {
            "/api/v1/orders": {"get": operation(), "post": operation()},
            "/keys": {"get": operation()},
        }});
        let before = v1.clone();
        let v2 = json!({"paths": {
            "/api/v2/orders": {"get": operation(), "delete": operation()},
            "/api/v2/more": {"get": operation()},
            "/keys": {"get": operation()},
        }});
        mark(&mut v1, Version::V1, Version::V2, &v2);
        let listed = &v1["paths"]["/api/v1/orders"]["get"];
        assert_eq!(listed["deprecated"], true);
        let headers = listed["responses"]["200"]["headers"].as_object().unwrap();
        assert_eq!(headers.len(), 3);
        assert_eq!(listed["responses"]["404"], json!({"$ref": "#/x"}));
        // Nothing else has changed, or has come.
        v1["paths"]["/api/v1/orders"]["get"] = before["paths"]["/api/v1/orders"]["get"].clone();
        assert_eq!(v1, before);
    }
}
