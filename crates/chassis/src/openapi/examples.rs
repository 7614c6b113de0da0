//! Examples of answers: each type has one, and each operation shows that of what it answers.

use serde_json::Value;

use super::{METHODS, SCHEMAS};

/// Gives each successful answer the example of its type, unless its handler gave it another one.
pub(super) fn of_answers(document: &mut Value) {
    let Some(schemas) = document["components"].get("schemas").cloned() else {
        return;
    };
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let members = paths.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten());
    for (_, operation) in members.filter(|(method, _)| METHODS.contains(&method.as_str())) {
        let answers = operation["responses"].as_object_mut().into_iter().flatten();
        for (_, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
            let contents = answer.get_mut("content").and_then(Value::as_object_mut);
            for (_, content) in contents.into_iter().flatten() {
                show(content, &schemas);
            }
        }
    }
}

fn show(content: &mut Value, schemas: &Value) {
    let has_one = content.get("example").is_some() || content.get("examples").is_some();
    let name = content["schema"]["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix(SCHEMAS));
    let example = name.and_then(|name| schemas[name].get("example"));
    if let (false, Some(example)) = (has_one, example) {
        content["example"] = example.clone();
    }
}
