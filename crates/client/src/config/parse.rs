//! Parses the line of configuration: keys on top of defaults.

use std::str::FromStr;

use super::ClientConfig;
use super::plain::{KEYS, PLAIN};
use super::values::{breaker, bulkhead, duration, health, percent};

/// The allowed syntax, for error messages.
const ALLOWED: &str = "it takes keys and values such as deadline=5s,attempt=2s,connect=500ms,retries=2,budget=10%,\
                       breaker=50%/20/5s,bulkhead=256+256/500ms,idle=30s,health=off, all of them optional, \
                       or plain with none but deadline, connect and idle";

/// The keys and what they mean, for the long help of a flag that holds a [`ClientConfig`].
pub const SETTINGS: &str = "\
How this peer is called: keys and values such as deadline=5s,attempt=2s, all of them optional. In full, with an example each:

  deadline=5s: the whole call
  attempt=2s: one attempt, at most the deadline
  connect=500ms: a connection, at most an attempt
  retries=2: after the first attempt, only of what is safe to repeat
  budget=10%: retries as a share of all calls
  breaker=50%/20/5s: opens at this share of failures of the last 100 calls, but at least 20, for 5s; or off
  breaker=50%@1s/20in10s/5s: an answer that takes 1s is a failure, too; of the calls of the last 10s
  bulkhead=256+256/500ms: calls at once, calls that wait, for how long; or 256 without waiting
  bulkhead=8..256@250ms+256/500ms: calls at once follow the peer, whose answers are late after 250ms
  idle=30s: a pause inside of a streamed answer
  health=off: whether endpoints are asked for their health; or grpc, /readyz, :8091/readyz

Or plain, alone or with deadline, connect and idle: one attempt, no breaker, no bulkhead, no ejection. For a mesh, whose proxies
do these things.";

impl FromStr for ClientConfig {
    type Err = String;

    /// Reads a line on top of [`ClientConfig::default`].
    fn from_str(text: &str) -> Result<Self, String> {
        Self::default().with(text)
    }
}

impl ClientConfig {
    /// A value parser for a peer whose defaults are `defaults`, in the same syntax.
    ///
    /// # Panics
    /// If `defaults` cannot be parsed; the first start of the service shows that.
    pub fn over(defaults: &'static str) -> impl Fn(&str) -> Result<Self, String> + Clone {
        let base: Self = defaults
            .parse()
            .expect("a service's own defaults can be read");
        move |text| base.clone().with(text)
    }

    /// This configuration, changed by the keys in `text`.
    ///
    /// # Errors
    /// One line for a person: the key, its value and what is allowed.
    pub fn with(mut self, text: &str) -> Result<Self, String> {
        let mut seen = Vec::new();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let (key, value) = match entry.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None if entry == PLAIN => (PLAIN, None),
                None => return Err(format!("{ALLOWED}; {entry:?} is no key with a value")),
            };
            if seen.contains(&key) {
                return Err(format!("{ALLOWED}; {key} is there twice"));
            }
            seen.push(key);
            match value {
                Some(value) => self.set(key, value)?,
                None => self.is_plain = true,
            }
        }
        if self.is_plain {
            // Refused rather than ignored: whoever says both has not decided who retries.
            if let Some(key) = seen.iter().find(|key| !KEYS.contains(key)) {
                return Err(format!("{ALLOWED}; {key} is none of these"));
            }
            self = self.plainly();
        }
        self.fit(|key| seen.contains(&key));
        self.validate()
            .map_err(|error| format!("it takes settings that fit together: {error}"))?;
        Ok(self)
    }

    /// Shortens the time limits that were not set explicitly to fit into a shorter deadline: `deadline=1s` alone must
    /// not fail because of three defaults. Explicit values are never changed; if they do not fit, validation rejects
    /// them.
    fn fit(&mut self, is_said: impl Fn(&str) -> bool) {
        if !is_said("attempt") {
            self.attempt = self.attempt.min(self.deadline);
        }
        if !is_said("connect") {
            self.connect = self.connect.min(self.attempt);
        }
        if let (false, Some(breaker)) = (is_said("breaker"), &mut self.breaker) {
            breaker.slow = breaker.slow.map(|slow| slow.min(self.attempt));
        }
        if !is_said("bulkhead") {
            self.bulkhead.max_wait = self.bulkhead.max_wait.min(self.deadline);
            if let Some(adaptive) = &mut self.bulkhead.adaptive {
                adaptive.late = adaptive.late.min(self.deadline);
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |form: &str| format!("it takes {key}={form}, not {value:?}");
        let time = |form: &str| duration(value).ok_or_else(|| wrong(form));
        match key {
            "deadline" => self.deadline = time("5s")?,
            "attempt" => self.attempt = time("2s")?,
            "connect" => self.connect = time("500ms")?,
            "idle" => self.idle = time("30s")?,
            "retries" => self.retries = value.parse().map_err(|_| wrong("2"))?,
            "budget" => self.budget_percent = percent(value).ok_or_else(|| wrong("10%"))?,
            "breaker" if value == "off" => self.breaker = None,
            "breaker" => {
                let form = "50%/20/5s (share of failures, calls at least, time open), with 50%@1s for answers that \
                            take 1s to be failures and 20in10s for 20 calls of the last 10s, or off";
                self.breaker = Some(breaker(value).ok_or_else(|| wrong(form))?);
            }
            "bulkhead" => {
                let form = "256+256/500ms (calls at once, waiting, for how long), 256, or either with 8..256@250ms for \
                            256 (least and most, and the answer that is late)";
                self.bulkhead = bulkhead(value).ok_or_else(|| wrong(form))?;
            }
            "health" => {
                let form = "off, grpc, /readyz or :8091/readyz";
                self.health = health(value).ok_or_else(|| wrong(form))?;
            }
            _ => return Err(format!("{ALLOWED}; there is no {key:?}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
