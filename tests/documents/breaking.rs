//! What of a change breaks those who use what was published before it.
//!
//! A client may rely on each path, operation, answer and member that was there. Of what it sends nothing new may be required
//! and nothing that was allowed refused; of what it gets nothing may be missing or of another type. More of everything else
//! may come: readers ignore what they do not know. What a program that is made from the document has its names from stays, too.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// From the client: what was allowed must stay allowed.
    In,
    /// To the client: what was promised must be kept.
    Out,
}

/// Two versions of a document, to be compared at the same places.
struct Change<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
    /// Pairs of referenced schemas that are compared already, each way.
    seen: BTreeSet<(String, String, bool)>,
}

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What of the change from `old` to `new`, both OpenAPI, breaks clients.
pub(crate) fn of_openapi(old: &Value, new: &Value) -> Vec<String> {
    let mut change = Change::between(old, new);
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in
            members(item).filter(|(name, _)| METHODS.contains(&name.as_str()))
        {
            let at = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => change.operation(operation, now, &at),
                None => change.found.push(format!("{at} is gone")),
            }
        }
    }
    change.found
}

/// What of the change from `old` to `new`, both AsyncAPI, breaks readers. A message may be read long after it was written, so
/// its payload must be readable both ways: new ones by old readers, old ones by new readers.
pub(crate) fn of_asyncapi(old: &Value, new: &Value) -> Vec<String> {
    let mut change = Change::between(old, new);
    for (name, channel) in members(&old["channels"]) {
        let Some(now) = new["channels"].get(name) else {
            change.found.push(format!("{name} is gone"));
            continue;
        };
        for (message, _) in members(&channel["messages"]) {
            if now["messages"].get(message).is_none() {
                change.found.push(format!("{name}: {message} is gone"));
            }
        }
    }
    for (name, operation) in members(&old["operations"]) {
        match new["operations"].get(name) {
            Some(now) => change.same(operation, now, &["action", "channel"], name),
            None => change.found.push(format!("the operation {name} is gone")),
        }
    }
    for (name, message) in members(&old["components"]["messages"]) {
        if let Some(now) = new["components"]["messages"].get(name) {
            change.message(message, now, name);
        }
    }
    // A member that is gone is gone both ways.
    let mut said = BTreeSet::new();
    change.found.retain(|line| said.insert(line.clone()));
    change.found
}

impl<'a> Change<'a> {
    fn between(old: &'a Value, new: &'a Value) -> Self {
        Self {
            old,
            new,
            found: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Members that are as they were.
    fn same(&mut self, old: &Value, new: &Value, members: &[&str], at: &str) {
        for name in members {
            let (was, is) = (&old[*name], &new[*name]);
            if was != is {
                self.found
                    .push(format!("{at}: {name} was {was} and is {is}"));
            }
        }
    }

    /// Its payload, its headers, and its key, by which it is kept in order and compacted.
    fn message(&mut self, old: &'a Value, new: &'a Value, name: &str) {
        let headers = format!("{name}, headers");
        let key = format!("{name}, key");
        for way in [Way::Out, Way::In] {
            self.schema(&old["payload"], &new["payload"], way, name);
            self.schema(&old["headers"], &new["headers"], way, &headers);
            let of = |message: &'a Value| &message["bindings"]["kafka"]["key"];
            self.schema(of(old), of(new), way, &key);
        }
    }

    fn operation(&mut self, old: &'a Value, new: &'a Value, at: &str) {
        // Generated clients name their functions and modules by these.
        self.same(old, new, &["operationId", "tags"], at);
        match (old.get("security"), new.get("security")) {
            (None, Some(_)) => self.found.push(format!("{at} needs a token now")),
            (Some(_), Some(_)) => self.same(old, new, &["security"], at),
            (_, None) => {}
        }
        self.parameters(old, new, at);
        self.body(old, new, at);
        for (status, answer) in members(&old["responses"]) {
            let at = format!("{at}, {status}");
            let Some(now) = new["responses"].get(status) else {
                self.found.push(format!("{at} is gone"));
                continue;
            };
            let (answer, now) = (resolved(self.old, answer), resolved(self.new, now));
            self.content(&answer["content"], &now["content"], Way::Out, &at);
            for (header, _) in members(&answer["headers"]) {
                if now["headers"].get(header).is_none() {
                    self.found
                        .push(format!("{at}: the header {header} is gone"));
                }
            }
        }
    }

    fn parameters(&mut self, old: &'a Value, new: &'a Value, at: &str) {
        let key = |parameter: &Value| (parameter["name"].clone(), parameter["in"].clone());
        for parameter in items(&new["parameters"]) {
            let name = parameter["name"].as_str().unwrap_or_default();
            let at = format!("{at}, parameter {name}");
            let before = items(&old["parameters"]).find(|before| key(before) == key(parameter));
            let required = |parameter: &Value| parameter["required"] == true;
            if required(parameter) && !before.is_some_and(required) {
                self.found.push(format!("{at} is required now"));
            }
            if let Some(before) = before {
                self.schema(&before["schema"], &parameter["schema"], Way::In, &at);
            }
        }
        for before in items(&old["parameters"]) {
            if !items(&new["parameters"]).any(|parameter| key(parameter) == key(before)) {
                self.found
                    .push(format!("{at}, parameter {} is gone", before["name"]));
            }
        }
    }

    fn body(&mut self, old: &'a Value, new: &'a Value, at: &str) {
        let at = format!("{at}, body");
        match (old.get("requestBody"), new.get("requestBody")) {
            (Some(old), Some(new)) => {
                if new["required"] == true && old["required"] != true {
                    self.found.push(format!("{at} is required now"));
                }
                self.content(&old["content"], &new["content"], Way::In, &at);
            }
            (Some(_), None) => self.found.push(format!("{at} is gone")),
            (None, Some(new)) if new["required"] == true => {
                self.found.push(format!("{at} is required now"));
            }
            (None, _) => {}
        }
    }

    fn content(&mut self, old: &'a Value, new: &'a Value, way: Way, at: &str) {
        for (kind, content) in members(old) {
            match new.get(kind) {
                Some(now) => self.schema(&content["schema"], &now["schema"], way, at),
                None => self.found.push(format!("{at}: {kind} is gone")),
            }
        }
    }

    /// Both schemas, wherever they are written.
    fn schema(&mut self, old: &'a Value, new: &'a Value, way: Way, at: &str) {
        if let (Some(before), Some(now)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self
                .seen
                .insert((before.to_owned(), now.to_owned(), way == Way::In))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        self.types(old, new, way, at);
        self.bounds(old, new, way, at);
        self.properties(old, new, way, at);
        self.others(old, new, way, at);
        if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
            self.schema(old, new, way, &format!("{at}/*"));
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            for (n, (old, new)) in items(&old[choice]).zip(items(&new[choice])).enumerate() {
                self.schema(old, new, way, &format!("{at}/{choice}/{n}"));
            }
            let (before, now) = (items(&old[choice]).count(), items(&new[choice]).count());
            if before != now && (way == Way::In && now < before || way == Way::Out && now > before)
            {
                self.found
                    .push(format!("{at}: {before} forms were possible, {now} are"));
            }
        }
    }

    fn types(&mut self, old: &Value, new: &Value, way: Way, at: &str) {
        let (before, now) = (types(old), types(new));
        let kept = match way {
            Way::In => now.is_empty() || (!before.is_empty() && before.is_subset(&now)),
            Way::Out => before.is_empty() || (!now.is_empty() && now.is_subset(&before)),
        };
        if !kept {
            self.found
                .push(format!("{at}: the type was {before:?} and is {now:?}"));
        }
        let kept = match (old.get("enum"), new.get("enum"), way) {
            (Some(old), Some(new), Way::In) => {
                items(old).all(|value| items(new).any(|now| now == value))
            }
            (Some(old), Some(new), Way::Out) => {
                items(new).all(|value| items(old).any(|was| was == value))
            }
            (None, Some(_), Way::In) | (Some(_), None, Way::Out) => false,
            _ => true,
        };
        if !kept {
            self.found.push(format!(
                "{at}: the values were {} and are {}",
                old["enum"], new["enum"]
            ));
        }
        for word in ["format", "pattern", "const"] {
            let changed = match way {
                Way::In => new.get(word).is_some() && new.get(word) != old.get(word),
                Way::Out => old.get(word).is_some() && new.get(word) != old.get(word),
            };
            if changed {
                self.found.push(format!(
                    "{at}: {word} was {} and is {}",
                    old[word], new[word]
                ));
            }
        }
    }

    /// Limits of what is sent; those of answers promise nothing that somebody breaks on.
    fn bounds(&mut self, old: &Value, new: &Value, way: Way, at: &str) {
        if way == Way::Out {
            return;
        }
        for (word, grows) in [
            ("minimum", false),
            ("minLength", false),
            ("minItems", false),
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
        ] {
            let tighter = match (old[word].as_f64(), new[word].as_f64()) {
                (_, None) => false,
                // What counts or is unsigned says that it is not negative.
                (None, Some(now)) => grows || now > 0.0,
                (Some(before), Some(now)) => {
                    if grows {
                        now < before
                    } else {
                        now > before
                    }
                }
            };
            if tighter {
                self.found.push(format!(
                    "{at}: {word} was {} and is {}",
                    old[word], new[word]
                ));
            }
        }
    }

    /// Members of any name.
    fn others(&mut self, old: &'a Value, new: &'a Value, way: Way, at: &str) {
        let of = |schema: &'a Value| schema.get("additionalProperties");
        if let (Some(old), Some(new)) = (of(old), of(new))
            && old.is_object()
            && new.is_object()
        {
            self.schema(old, new, way, &format!("{at}/{{any}}"));
        }
    }

    fn properties(&mut self, old: &'a Value, new: &'a Value, way: Way, at: &str) {
        for (name, property) in members(&old["properties"]) {
            let at = format!("{at}/{name}");
            match new["properties"].get(name) {
                Some(now) => self.schema(property, now, way, &at),
                None => self.found.push(format!("{at} is gone")),
            }
        }
        let requires =
            |schema: &Value, name: &Value| items(&schema["required"]).any(|known| known == name);
        match way {
            Way::In => {
                for name in items(&new["required"]).filter(|name| !requires(old, name)) {
                    self.found
                        .push(format!("{at}/{} is required now", text(name)));
                }
                let refuses = |schema: &Value| schema["additionalProperties"] == false;
                if refuses(new) && !refuses(old) {
                    self.found
                        .push(format!("{at}: members that are not known are refused now"));
                }
            }
            Way::Out => {
                for name in items(&old["required"]).filter(|name| !requires(new, name)) {
                    self.found
                        .push(format!("{at}/{} can be missing now", text(name)));
                }
            }
        }
    }
}

/// What a schema or an answer is, where it is a reference.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    pointer
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

/// The types that a schema allows; none where it does not say.
fn types(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.as_str()]),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

fn text(name: &Value) -> &str {
    name.as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
