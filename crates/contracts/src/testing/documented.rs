//! What a door answers, held to its OpenAPI documents: a test client that asks here finds an answer that no document names,
//! whichever test was the first to get it.

use chassis::openapi::operations;
use chassis::problem::CONTENT_TYPE;
use serde_json::Value;

/// The documents of one door.
#[derive(Debug)]
pub struct Documented(Vec<Value>);

/// An answer, as far as documents say something about it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// `Content-Type`, if it has one.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

impl Documented {
    /// Each document has other paths.
    #[must_use]
    pub fn new(documents: Vec<Value>) -> Self {
        Self(documents)
    }

    /// Holds an answer to what is said of its operation. A path or a method that no document has passes.
    ///
    /// # Panics
    /// If the status, the content type or the kind of the problem is not documented.
    pub fn hold(&self, method: &str, path: &str, answered: Answered<'_>) {
        let Some(wrong) = self.find_wrong(method, path, answered) else {
            return;
        };
        let body = String::from_utf8_lossy(answered.body);
        panic!("{method} {path} answers {wrong}, which is not documented: {body}");
    }

    fn find_wrong(&self, method: &str, path: &str, answered: Answered<'_>) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let (document, operation) = self.operation(method, path)?;
        let status = answered.status.to_string();
        let response = &operation["responses"][&status];
        let shared = response["$ref"].as_str();
        let shared = shared.and_then(|at| document.pointer(at.trim_start_matches('#')));
        let response = shared.unwrap_or(response);
        if response.is_null() {
            return Some(status);
        }
        let content = response["content"].as_object();
        let essence = answered
            .content_type
            .and_then(|text| text.split(';').next());
        let Some(content) = content.filter(|content| !content.is_empty()) else {
            return (!answered.body.is_empty()).then(|| format!("{status} with a body"));
        };
        let Some(said) = essence.and_then(|essence| content.get(essence.trim())) else {
            return Some(format!("{status} as {essence:?}"));
        };
        if essence != Some(CONTENT_TYPE) {
            return None;
        }
        let problem: Value = serde_json::from_slice(answered.body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        let slug = kind.rsplit('/').next().unwrap_or_default();
        said["examples"][slug]
            .is_null()
            .then(|| format!("{status} of the kind {kind:?}"))
    }

    /// The operation of this request, with its document.
    fn operation(&self, method: &str, path: &str) -> Option<(&Value, &Value)> {
        self.0.iter().find_map(|document| {
            let mut all = operations(document);
            let found = all.find(|(template, known, _)| {
                known.eq_ignore_ascii_case(method) && is_of(template, path)
            });
            found.map(|(_, _, operation)| (document, operation))
        })
    }
}

/// Whether a path is one of those that a template such as `/v1/orders/{id}` stands for.
fn is_of(template: &str, path: &str) -> bool {
    let (mut wanted, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), segments.next()) {
            (None, None) => return true,
            (Some(any), Some(segment)) if any.starts_with('{') && !segment.is_empty() => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documented() -> Documented {
        let missing = json!({"content": {CONTENT_TYPE: {"examples": {"not-found": {}}}}});
        Documented::new(vec![json!({
            "paths": {"/v1/things/{id}": {"get": {"responses": {
                "200": {"content": {"application/json": {}}},
                "204": {},
                "404": {"$ref": "#/components/responses/404.not-found"},
            }}}},
            "components": {"responses": {"404.not-found": missing}},
        })])
    }

    #[test]
    fn what_is_not_documented_is_found() {
        let (json, problem) = (Some("application/json; charset=utf-8"), Some(CONTENT_TYPE));
        let (missing, other) = (
            br#"{"type": "/problems/not-found"}"#.as_slice(),
            br#"{"type": "/problems/gone"}"#.as_slice(),
        );
        let wrong = |method: &str, path: &str, status, content_type, body| {
            let answered = Answered {
                status,
                content_type,
                body,
            };
            documented().find_wrong(method, path, answered).is_some()
        };
        let path = "/v1/things/7?a=/b";
        for (status, content_type, body, expected) in [
            (200, json, &b"{}"[..], false),
            (200, Some("text/plain"), b"x", true),
            (200, None, b"", true),
            (201, json, b"{}", true),
            (204, None, b"", false),
            (204, json, b"{}", true),
            (404, problem, missing, false),
            (404, problem, other, true),
            (404, problem, b"", true),
            (404, json, missing, true),
        ] {
            let found = wrong("GET", path, status, content_type, body);
            assert_eq!(found, expected, "{status} {content_type:?}");
        }
        // What no document has is another test's.
        for (method, path) in [
            ("PATCH", path),
            ("GET", "/v1/things"),
            ("GET", "/v1/things/"),
            ("GET", "/v1/things/7/parts"),
            ("GET", "/v2/things/7"),
        ] {
            assert!(!wrong(method, path, 405, None, b""), "{method} {path}");
        }
    }
}
