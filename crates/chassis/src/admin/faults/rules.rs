//! Rules as JSON: `{"target": "orders", "kind": "delay", "delay_ms": 800, "percent": 20}`.

use std::time::Duration;

use resilience::fault::{Kind, Rule, RuleSnapshot};
use serde_json::{Map, Value, json};

use crate::problem::FieldError;

/// The most rules at a time, since each call of a client checks all of them.
const RULES_MAX: usize = 100;
/// The longest delay; for a longer one use the kind `hang`.
const DELAY_MAX: Duration = Duration::from_secs(600);

/// A rule as JSON, with the number of calls that it broke.
pub(super) fn show(snapshot: &RuleSnapshot) -> Value {
    let rule = &snapshot.rule;
    let mut shown = json!({
        "target": rule.target,
        "percent": rule.percent,
        "kind": match rule.kind {
            Kind::Delay(_) => "delay",
            Kind::Fail => "fail",
            Kind::Hang => "hang",
        },
        "broken": snapshot.broken,
    });
    if let Kind::Delay(delay) = rule.kind {
        shown["delay_ms"] = json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }
    shown
}

/// Parses `{"rules": [..]}`; each target must be one of `clients`. Written by hand and not with serde, which stops at
/// the first error.
///
/// # Errors
/// All errors found.
pub(super) fn parse(body: &Value, clients: &[String]) -> Result<Vec<Rule>, Vec<FieldError>> {
    let Some(list) = body.get("rules").and_then(Value::as_array) else {
        return Err(vec![FieldError::new("/rules", "must be a list of rules")]);
    };
    if list.len() > RULES_MAX {
        let detail = format!("may have at most {RULES_MAX} rules");
        return Err(vec![FieldError::new("/rules", detail)]);
    }
    let mut errors = Vec::new();
    let rules = list.iter().enumerate().map(|(index, rule)| {
        let mut fields = Fields {
            at: format!("/rules/{index}"),
            clients,
            errors: &mut errors,
        };
        fields.rule(rule)
    });
    let rules: Vec<_> = rules.collect();
    if errors.is_empty() {
        // No rule is missing from the list, since there were no errors.
        Ok(rules.into_iter().flatten().collect())
    } else {
        Err(errors)
    }
}

/// Parses the fields of one rule and collects their errors.
struct Fields<'a> {
    at: String,
    clients: &'a [String],
    errors: &'a mut Vec<FieldError>,
}

impl Fields<'_> {
    fn wrong<T>(&mut self, field: &str, detail: impl Into<String>) -> Option<T> {
        let pointer = format!("{}{field}", self.at);
        self.errors.push(FieldError::new(pointer, detail));
        None
    }

    fn rule(&mut self, rule: &Value) -> Option<Rule> {
        let Some(rule) = rule.as_object() else {
            return self.wrong("", "must be an object");
        };
        for name in rule.keys() {
            // All fields that `GET` shows are accepted, so that its output can be sent back unchanged.
            if !["target", "percent", "kind", "delay_ms", "broken"].contains(&name.as_str()) {
                let token = name.replace('~', "~0").replace('/', "~1");
                self.wrong::<()>(&format!("/{token}"), "is no field of a rule");
            }
        }
        // Every field is parsed, even if another one is invalid, so that all errors are reported.
        let (target, percent, kind) = (self.target(rule), self.percent(rule), self.kind(rule));
        Some(Rule {
            target: target?,
            percent: percent?,
            kind: kind?,
        })
    }

    fn target(&mut self, rule: &Map<String, Value>) -> Option<String> {
        let target = rule.get("target").and_then(Value::as_str);
        // A rule that matches no client would be accepted and have no effect, so it is refused.
        match target.filter(|target| self.clients.iter().any(|client| client == target)) {
            Some(target) => Some(target.to_owned()),
            None if self.clients.is_empty() => {
                self.wrong("/target", "this service calls no other, so there is none")
            }
            None => {
                let clients = self.clients.join(", ");
                self.wrong("/target", format!("must be one of {clients}"))
            }
        }
    }

    fn percent(&mut self, rule: &Map<String, Value>) -> Option<u8> {
        let percent = rule.get("percent").map_or(Some(100), Value::as_u64);
        match percent.and_then(|percent| u8::try_from(percent).ok()) {
            Some(percent) if percent <= 100 => Some(percent),
            _ => self.wrong("/percent", "must be a whole number from 0 to 100"),
        }
    }

    fn kind(&mut self, rule: &Map<String, Value>) -> Option<Kind> {
        let delay = rule.get("delay_ms");
        match rule.get("kind").and_then(Value::as_str) {
            Some("delay") => self.delay(delay).map(Kind::Delay),
            Some(kind @ ("fail" | "hang")) => {
                if delay.is_some() {
                    return self.wrong("/delay_ms", "belongs to the kind delay only");
                }
                Some(if kind == "fail" {
                    Kind::Fail
                } else {
                    Kind::Hang
                })
            }
            _ => self.wrong("/kind", "must be delay, fail or hang"),
        }
    }

    fn delay(&mut self, delay: Option<&Value>) -> Option<Duration> {
        let delay = delay.and_then(Value::as_u64).map(Duration::from_millis);
        match delay {
            Some(delay) if !delay.is_zero() && delay <= DELAY_MAX => Some(delay),
            _ => self.wrong(
                "/delay_ms",
                format!("must be a whole number from 1 to {}", DELAY_MAX.as_millis()),
            ),
        }
    }
}
