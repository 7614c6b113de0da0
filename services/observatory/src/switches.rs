//! The switches of the process that runs the system, for engines and services. What they do is up to that process.

use chassis::admin::AdminToken;
use client::Address;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::replicas::{ASKED, Replica, Service};
use crate::text::is_shown;

/// The most switches that are shown.
const SWITCHES_MAX: usize = 32;
/// The longest text that is shown, in characters.
const TEXT_MAX: usize = 300;
/// How a switch is called: with a long deadline, since a service that is stopped finishes its work first.
const PRESSED: &str =
    "deadline=9s,attempt=9s,connect=1s,retries=0,breaker=off,bulkhead=16+64/1s,idle=15s";

/// The process that has the switches, if it is configured.
pub(crate) struct Switches(Option<Owner>);

/// The process that has them: polled like an admin port, with a longer deadline for pressing a switch.
struct Owner {
    shown: Service,
    pressed: Service,
}

impl Switches {
    pub(crate) fn new(address: Option<&Address>, token: Option<&AdminToken>) -> Self {
        let owner = |address: &Address| {
            let with = |limits| Service::new("switches", address, token, limits);
            Owner {
                shown: with(ASKED),
                pressed: with(PRESSED),
            }
        };
        Self(address.map(owner))
    }

    /// Their present state; `null` if there are none, or the process does not answer.
    pub(crate) async fn look(&self) -> Value {
        let Some(owner) = self.0.as_ref().and_then(|owner| one(&owner.shown)) else {
            return Value::Null;
        };
        match owner.json("/switches").await {
            Some(said) => shown(&said),
            None => Value::Null,
        }
    }

    /// Presses one of them.
    ///
    /// # Errors
    /// Why the process could not be called.
    pub(crate) async fn press(
        &self,
        name: &str,
        body: &Value,
    ) -> Option<Result<(StatusCode, String), String>> {
        self.ask(Method::POST, &format!("/switches/{name}"), Some(body))
            .await
    }

    /// Sets each of them to its usual position.
    pub(crate) async fn mend(&self) -> Option<Result<(StatusCode, String), String>> {
        self.ask(Method::DELETE, "/switches", None).await
    }

    /// `None` where there are none.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Result<(StatusCode, String), String>> {
        match one(&self.0.as_ref()?.pressed) {
            Some(owner) => Some(owner.ask(method, path, body).await),
            None => Some(Err("its address leads nowhere".to_owned())),
        }
    }
}

/// Any of its addresses, which all belong to the same process.
fn one(owner: &Service) -> Option<Replica> {
    owner.replicas().into_iter().next()
}

/// The switches of an answer, as many as are shown.
fn shown(said: &Value) -> Value {
    let said = said["switches"].as_array().into_iter().flatten();
    said.filter_map(read).take(SWITCHES_MAX).collect()
}

/// Reads a switch with its texts cut; `None` if it is invalid.
fn read(value: &Value) -> Option<Value> {
    let name = value["name"].as_str().filter(|name| is_name(name))?;
    let text = |value: &Value| -> Option<String> {
        let text = value.as_str()?.chars().filter(|c| is_shown(*c));
        Some(text.take(TEXT_MAX).collect())
    };
    let absent = value["absent"].is_object().then(|| {
        let absent = &value["absent"];
        json!({ "why": text(&absent["why"]), "command": text(&absent["command"]) })
    });
    Some(json!({
        "name": name, "kind": text(&value["kind"]), "title": text(&value["title"]),
        "on": value["on"].as_bool()?, "usual": value["usual"].as_bool()?,
        "hit": value["hit"].as_u64(), "absent": absent,
    }))
}

/// Whether it is a valid name of a switch, safe in a path.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As many and as long as they can be.
    pub(crate) fn hostile() -> Value {
        let long = "\u{1f4a5}".repeat(10_000);
        let switch = json!({"name": "x".repeat(64), "kind": long, "title": long, "on": false, "usual": true,
            "hit": u64::MAX, "absent": {"why": long, "command": long}, "more": long});
        shown(&json!({"switches": vec![switch; 100]}))
    }

    #[test]
    fn what_is_no_switch_is_left_out_and_the_rest_is_cut() {
        let long = "x".repeat(10_000);
        let whole = json!({"name": "kafka", "kind": "engine", "title": long, "on": false, "usual": true, "hit": 3,
            "absent": {"why": "it is not ours", "command": 7}, "more": long});
        let shown = read(&whole).unwrap();
        assert_eq!(shown["title"].as_str().unwrap().len(), TEXT_MAX);
        assert_eq!(
            shown["absent"],
            json!({"why": "it is not ours", "command": null})
        );
        assert_eq!((&shown["hit"], shown.get("more")), (&json!(3), None));
        for (field, bad) in [
            ("name", json!("../faults")),
            ("name", Value::Null),
            ("on", json!("yes")),
            ("usual", Value::Null),
        ] {
            let mut switch = whole.clone();
            switch[field] = bad;
            assert_eq!(read(&switch), None, "{field}");
        }
        assert_eq!(read(&json!([1])), None);
    }
}
