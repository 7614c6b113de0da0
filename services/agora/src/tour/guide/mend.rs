//! What a stop has broken and not mended yet. It is recorded before something is broken, so that it can be mended however the
//! stop ends: by a failure, or by a signal.

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Call, Guide, send, text};

/// How something is mended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mend {
    /// A switch is set back.
    Switch { name: String, on: bool },
    /// The rule for a target is removed from a service, and the rules that it replaced are restored.
    Rule {
        service: String,
        target: String,
        displaced: Vec<Value>,
    },
}

/// What is to be mended, the latest last.
#[derive(Debug, Default)]
pub(super) struct Broken(Mutex<Vec<Mend>>);

impl Broken {
    /// Records that a switch is about to be set. If that mends an earlier setting, it returns that entry instead.
    pub(super) fn set(&self, name: &str, on: bool) -> Option<Mend> {
        let mut broken = self.0.lock();
        let mut known = broken
            .iter()
            .filter(|mend| matches!(mend, Mend::Switch { name: of, .. } if of == name));
        let back = Mend::Switch {
            name: name.to_owned(),
            on,
        };
        match known.next() {
            Some(known) => (*known == back).then_some(back),
            None => {
                broken.push(Mend::Switch {
                    name: name.to_owned(),
                    on: !on,
                });
                None
            }
        }
    }

    /// Notes a rule that is about to be set.
    pub(super) fn rule(&self, service: &str, target: &str, displaced: Vec<Value>) {
        self.0.lock().push(Mend::Rule {
            service: service.to_owned(),
            target: target.to_owned(),
            displaced,
        });
    }

    /// How the rule of this target is mended, if it is to be.
    pub(super) fn rule_of(&self, service: &str, target: &str) -> Option<Mend> {
        let is_it = |mend: &&Mend| matches!(mend, Mend::Rule { service: at, target: of, .. } if at == service && of == target);
        self.0.lock().iter().find(is_it).cloned()
    }

    /// Notes that something is mended.
    pub(super) fn mended(&self, mend: &Mend) {
        self.0.lock().retain(|other| other != mend);
    }

    /// All that is to be mended, the latest first.
    pub(super) fn all(&self) -> Vec<Mend> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

impl Guide {
    /// Adds a rule of faults to those of a service, replacing one for the same target.
    pub(in crate::tour) async fn fault(&self, service: &str, rule: Value) -> Result<(), String> {
        let target = text(&rule, "target");
        let (mut rules, displaced) = apart(self.rules(service).await?, &target);
        self.to_mend.rule(service, &target, displaced);
        rules.push(rule);
        self.set_rules(service, rules).await
    }

    /// Mends what [`fault`](Self::fault) has broken.
    pub(in crate::tour) async fn heal(&self, service: &str, target: &str) -> Result<(), String> {
        match self.to_mend.rule_of(service, target) {
            Some(mend) => self.mend(&mend).await,
            None => Ok(()),
        }
    }

    /// Mends all that is still broken, the latest first. A failure does not keep the rest from being mended.
    pub(in crate::tour) async fn mend_all(&self) -> Result<(), String> {
        let mut missed = Vec::new();
        for mend in self.to_mend.all() {
            if let Err(why) = self.mend(&mend).await {
                missed.push(why);
            }
        }
        match missed.as_slice() {
            [] => Ok(()),
            missed => Err(format!("not mended: {}", missed.join("; "))),
        }
    }

    async fn mend(&self, mend: &Mend) -> Result<(), String> {
        match mend {
            Mend::Switch { name, on } => self.press(name, *on).await?,
            Mend::Rule {
                service,
                target,
                displaced,
            } => {
                let (mut rules, _) = apart(self.rules(service).await?, target);
                rules.extend(displaced.iter().cloned());
                self.set_rules(service, rules).await?;
            }
        }
        self.to_mend.mended(mend);
        Ok(())
    }

    async fn rules(&self, service: &str) -> Result<Vec<Value>, String> {
        let said = send(self.port(service)?, Call::get("/faults"), None)
            .await?
            .good()?;
        Ok(said.json["rules"].as_array().cloned().unwrap_or_default())
    }

    async fn set_rules(&self, service: &str, rules: Vec<Value>) -> Result<(), String> {
        let call = Call {
            method: Method::PUT,
            ..Call::post("/faults", json!({ "rules": rules }))
        };
        let token = self.admin_token.as_deref();
        send(self.port(service)?, call, token).await?.good()?;
        Ok(())
    }

    /// How many calls the rule of a service for a target has affected.
    pub(in crate::tour) async fn broken(&self, service: &str, target: &str) -> Result<u64, String> {
        let (_, of_target) = apart(self.rules(service).await?, target);
        let met = of_target.first().and_then(|rule| rule["broken"].as_u64());
        Ok(met.unwrap_or_default())
    }
}

/// Splits rules into those of other targets, and those of this one.
fn apart(rules: Vec<Value>, target: &str) -> (Vec<Value>, Vec<Value>) {
    rules.into_iter().partition(|rule| rule["target"] != target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(name: &str, on: bool) -> Mend {
        let name = name.to_owned();
        Mend::Switch { name, on }
    }

    #[test]
    fn what_is_set_and_set_back_is_mended() {
        let broken = Broken::default();
        assert_eq!(broken.set("kafka", false), None);
        assert_eq!(broken.set("load", true), None);
        assert_eq!(broken.set("load", true), None, "tried again");
        broken.rule("gateway", "orders", Vec::new());
        let rule = broken.rule_of("gateway", "orders").unwrap();
        assert_eq!(
            broken.all(),
            [rule.clone(), switch("load", false), switch("kafka", true)]
        );
        let back = broken.set("kafka", true).unwrap();
        assert_eq!(back, switch("kafka", true));
        // The entry stays until the mending has succeeded.
        assert_eq!(broken.all().len(), 3);
        broken.mended(&back);
        broken.mended(&rule);
        assert_eq!(broken.all(), [switch("load", false)]);
        assert_eq!(broken.rule_of("gateway", "orders"), None);
    }

    #[test]
    fn rules_of_others_stay() {
        let (theirs, ours) = (json!({"target": "users"}), json!({"target": "orders"}));
        let rules = vec![theirs.clone(), ours.clone()];
        assert_eq!(apart(rules, "orders"), (vec![theirs], vec![ours]));
    }
}
