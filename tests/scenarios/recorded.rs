//! A client of version 1, recorded before there was a second version, gets what it got then.
//!
//! `tests/fixtures/v1.json` is what it said and was answered: one session from sign-up to cancellation, with the refusals on
//! its way. Names in braces stand for what differs from run to run (`{order}`); `learn` says which answer they come from.

pub(crate) mod events;

use std::collections::BTreeMap;

use scenarios::shop::Answer;
use scenarios::{Shop, wait};
use serde_json::{Value, json};

use crate::stage::Open;

const RECORDED: &str = include_str!("../fixtures/v1.json");
/// Where the types of problems were when it was recorded. That host was nobody's, so they led nowhere; since then the same
/// path is at the host that was asked (ADR 31). It is the one difference from what was recorded.
const TYPES_WERE_AT: &str = "https://agora.example/problems/";
const TYPES_ARE_AT: &str = "/problems/";
/// Below this root it was recorded; `/api` is the same.
const ROOT: &str = "/api/v1";
/// Members whose value a client goes by.
const EXACT: [&str; 7] = [
    "type",
    "title",
    "pointer",
    "token_type",
    "status",
    "currency",
    "quantity",
];
/// Names in braces that stand for text; the others stand for ids.
const TEXTS: [&str; 3] = ["{email}", "{token}", "{page}"];

pub(crate) fn a_client_of_version_1_is_answered_as_ever(open: &Open<'_>) {
    let shop = open.shop();
    let recorded = RECORDED.replace(TYPES_WERE_AT, TYPES_ARE_AT);
    let exchanges: Vec<Value> = serde_json::from_str(&recorded).expect("JSON");
    assert!(exchanges.len() > 30, "the whole session");
    a_break_would_be_seen();
    for root in [ROOT, "/api"] {
        let mut session = Session::new(&shop, root);
        // One of its own: others are counting theirs.
        session.know("product", open.product(10).0);
        for exchange in &exchanges {
            session.play(exchange);
        }
    }
}

fn a_break_would_be_seen() {
    let recorded =
        json!({"id": "{order}", "items": [{"quantity": 1}], "type": "a", "reason": null});
    let differences = |now: Value| {
        let mut differences = Vec::new();
        differ("", &recorded, &now, &mut differences);
        differences.sort();
        differences
    };
    let id = uuid::Uuid::nil();
    let grown =
        json!({"id": id, "items": [{"quantity": 1, "x": 1}], "type": "a", "reason": null, "x": 1});
    assert_eq!(differences(grown), [""; 0]);
    let broken = json!({"id": 1, "items": [{"quantity": "1"}, {}], "type": "b"});
    let expected = [
        r#"/id is 1, it was "{order}""#,
        r#"/items/0/quantity is "1", it was 1"#,
        "/items/1/quantity is gone",
        "/reason is gone",
        r#"/type is "b", it was "a""#,
    ];
    assert_eq!(differences(broken), expected);

    let order = |total| {
        json!({"orders": [{"total_amount": total, "items": [
            {"quantity": 2, "unit_price": 100}, {"quantity": 3, "unit_price": 1}]}]})
    };
    let totals = |now: Value| {
        let mut differences = Vec::new();
        add_up("", &now, &mut differences);
        differences
    };
    assert_eq!(totals(order(203)), [""; 0]);
    let expected = ["/orders/0/total_amount is 101, its items are 203"];
    assert_eq!(totals(order(101)), expected);
}

struct Session<'a> {
    shop: &'a Shop,
    root: &'a str,
    known: BTreeMap<String, String>,
}

impl<'a> Session<'a> {
    fn new(shop: &'a Shop, root: &'a str) -> Self {
        let mut session = Self {
            shop,
            root,
            known: BTreeMap::new(),
        };
        session.know(
            "email",
            format!("{}@example.org", uuid::Uuid::new_v4().simple()),
        );
        session.know("password", "a password to record".to_owned());
        session
    }

    fn know(&mut self, name: &str, value: String) {
        self.known.entry(format!("{{{name}}}")).or_insert(value);
    }

    /// With what the names in braces stand for in this session, and below its root.
    fn filled(&self, text: &str) -> String {
        let known = self.known.iter();
        let text = known.fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        });
        text.replace(&format!("{ROOT}/"), &format!("{}/", self.root))
    }

    fn ask(&self, exchange: &Value) -> Answer {
        let text = |name: &str| exchange[name].as_str().expect("a text");
        let path = self.filled(&format!("{ROOT}{}", text("path")));
        let mut headers = Vec::new();
        if exchange["signed_in"] == true {
            headers.push(("authorization".to_owned(), self.filled("Bearer {token}")));
        }
        let more = exchange["headers"].as_object();
        for (name, value) in more.into_iter().flatten() {
            headers.push((name.clone(), self.filled(value.as_str().expect("a text"))));
        }
        let body = exchange
            .get("body")
            .map(|body| self.filled(&body.to_string()));
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = self.shop.call(
            text("method"),
            &path,
            &headers,
            body.as_deref().map(str::as_bytes),
        );
        answer.unwrap_or_else(|error| panic!("{}: {error}", exchange["what"]))
    }

    fn play(&mut self, exchange: &Value) {
        let what = exchange["what"].as_str().expect("a text");
        let answer = wait::until(what, || {
            let answer = self.ask(exchange);
            let until = exchange["until"].as_object().into_iter().flatten();
            let is_there = until
                .into_iter()
                .all(|(name, value)| &answer.json[name] == value);
            is_there.then_some(answer)
        });
        for (name, place) in exchange["learn"].as_object().into_iter().flatten() {
            let place = format!("/{}", place.as_str().expect("a text").replace('.', "/"));
            let value = answer.json.pointer(&place).and_then(Value::as_str);
            let value = value.unwrap_or_else(|| panic!("{what}: no {place} in {answer:?}"));
            // A page token is another one each time.
            if name == "page" {
                self.known.remove("{page}");
            }
            self.know(name, value.to_owned());
        }
        self.compare(what, &exchange["answer"], &answer);
    }

    fn compare(&self, what: &str, recorded: &Value, answer: &Answer) {
        assert_eq!(recorded["status"], answer.status, "{what}: {answer:?}");
        for (name, value) in recorded["headers"].as_object().expect("headers") {
            let value = self.filled(value.as_str().expect("a text"));
            assert_eq!(answer.header(name), Some(value.as_str()), "{what}: {name}");
        }
        let mut differences = Vec::new();
        differ("", &recorded["body"], &answer.json, &mut differences);
        add_up("", &answer.json, &mut differences);
        assert!(
            differences.is_empty(),
            "{what}, below {}: {}; {answer:?}",
            self.root,
            differences.join(", ")
        );
    }
}

/// Where an answer is not of the form that a client knew: a member is gone, or of another kind. Further members are none of
/// its business.
fn differ(at: &str, recorded: &Value, now: &Value, differences: &mut Vec<String>) {
    match (recorded, now) {
        (Value::Object(recorded), Value::Object(now)) => {
            for (name, value) in recorded {
                let at = format!("{at}/{name}");
                match now.get(name) {
                    None => differences.push(format!("{at} is gone")),
                    Some(now) if EXACT.contains(&name.as_str()) && value != now => {
                        differences.push(format!("{at} is {now}, it was {value}"));
                    }
                    Some(now) => differ(&at, value, now, differences),
                }
            }
        }
        (Value::Array(recorded), Value::Array(now)) => {
            let Some(form) = recorded.first() else { return };
            if now.is_empty() {
                differences.push(format!("{at} is empty"));
            }
            for (n, now) in now.iter().enumerate() {
                differ(
                    &format!("{at}/{n}"),
                    recorded.get(n).unwrap_or(form),
                    now,
                    differences,
                );
            }
        }
        (recorded, now) if kind(recorded) == kind(now) => {}
        (recorded, now) => differences.push(format!("{at} is {now}, it was {recorded}")),
    }
}

/// Where the total of an order is not the sum of its items, whose prices are those of another product than the recorded one.
fn add_up(at: &str, now: &Value, differences: &mut Vec<String>) {
    match now {
        Value::Object(members) => {
            if let Some(total) = now["total_amount"].as_i64() {
                let items = now["items"].as_array().into_iter().flatten();
                let number = |item: &Value, name: &str| item[name].as_i64().unwrap_or_default();
                let sum: i64 = items
                    .map(|item| number(item, "quantity") * number(item, "unit_price"))
                    .sum();
                if sum != total {
                    differences.push(format!("{at}/total_amount is {total}, its items are {sum}"));
                }
            }
            for (name, value) in members {
                add_up(&format!("{at}/{name}"), value, differences);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                add_up(&format!("{at}/{n}"), item, differences);
            }
        }
        _ => {}
    }
}

/// What a typed client parses a value as.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_i64() => "a whole number",
        Value::Number(_) => "a number",
        Value::String(text) if TEXTS.contains(&text.as_str()) => "text",
        Value::String(text) if text.starts_with('{') || uuid::Uuid::try_parse(text).is_ok() => {
            "an id"
        }
        Value::String(text) if chrono::DateTime::parse_from_rfc3339(text).is_ok() => "a time",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
