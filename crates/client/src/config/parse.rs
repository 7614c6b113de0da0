//! Parses the line of configuration.

use std::str::FromStr;
use std::time::Duration;

use super::plain::{KEYS, PLAIN};
use super::{AdaptiveSettings, BreakerSettings, BulkheadSettings, ClientConfig, HealthCheck};

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

/// In the form of the crate `humantime`: `500ms`, `5s`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn percent(text: &str) -> Option<u32> {
    text.strip_suffix('%')?.parse().ok()
}

fn breaker(text: &str) -> Option<BreakerSettings> {
    let mut parts = text.split('/');
    let (share, slow) = with_time(parts.next()?, "@")?;
    let (calls, within) = with_time(parts.next()?, "in")?;
    let settings = BreakerSettings {
        failure_percent: percent(share)?,
        slow,
        min_calls: calls.parse().ok()?,
        within,
        open_for: duration(parts.next()?)?,
    };
    parts.next().is_none().then_some(settings)
}

/// Splits a value from the duration that may follow it after `mark`.
fn with_time<'a>(text: &'a str, mark: &str) -> Option<(&'a str, Option<Duration>)> {
    match text.split_once(mark) {
        Some((value, time)) => Some((value, Some(duration(time)?))),
        None => Some((text, None)),
    }
}

fn bulkhead(text: &str) -> Option<BulkheadSettings> {
    let (places, max_waiting, max_wait) = match text.split_once('/') {
        Some((calls, wait)) => {
            let (places, waiting) = calls.split_once('+')?;
            (places, waiting.parse().ok()?, duration(wait)?)
        }
        None => (text, 0, Duration::ZERO),
    };
    let (max_in_flight, adaptive) = match places.split_once('@') {
        Some((range, late)) => {
            let (min, max) = range.split_once("..")?;
            let (min, late) = (min.parse().ok()?, duration(late)?);
            (max, Some(AdaptiveSettings { min, late }))
        }
        None => (places, None),
    };
    Some(BulkheadSettings {
        max_in_flight: max_in_flight.parse().ok()?,
        adaptive,
        max_waiting,
        max_wait,
    })
}

fn health(text: &str) -> Option<HealthCheck> {
    match text {
        "off" => return Some(HealthCheck::Off),
        "grpc" => return Some(HealthCheck::Grpc),
        _ => {}
    }
    let slash = text.find('/')?;
    let (port, path) = text.split_at(slash);
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    // The path is later sent to the peer unchanged, so that it must be valid now.
    http::uri::PathAndQuery::from_str(path).ok()?;
    Some(HealthCheck::Http {
        port,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use resilience::circuit_breaker::Window;

    use super::*;

    fn line(text: &str) -> String {
        let line = text.parse::<ClientConfig>().unwrap_err();
        assert!(
            line.starts_with("it takes ") && !line.contains('\n'),
            "{line}"
        );
        line
    }

    #[test]
    fn nothing_said_is_the_default_which_adds_up() {
        assert_eq!("".parse(), Ok(ClientConfig::default()));
        ClientConfig::default().validate().unwrap();
    }

    #[test]
    fn every_key_is_read() {
        let text = "deadline=3s, attempt=1s,connect=100ms,retries=0,budget=20%,breaker=60%/5/30s,\
                    bulkhead=8+4/50ms,idle=1m,health=:8091/readyz";
        let config: ClientConfig = text.parse().unwrap();
        assert_eq!(
            config,
            ClientConfig {
                deadline: Duration::from_secs(3),
                attempt: Duration::from_secs(1),
                connect: Duration::from_millis(100),
                retries: 0,
                budget_percent: 20,
                breaker: Some(BreakerSettings {
                    failure_percent: 60,
                    slow: None,
                    min_calls: 5,
                    within: None,
                    open_for: Duration::from_secs(30),
                }),
                bulkhead: BulkheadSettings {
                    max_in_flight: 8,
                    adaptive: None,
                    max_waiting: 4,
                    max_wait: Duration::from_millis(50),
                },
                idle: Duration::from_secs(60),
                health: HealthCheck::Http {
                    port: Some(8091),
                    path: "/readyz".into()
                },
                is_plain: false,
            }
        );
        let rest: ClientConfig = "breaker=off,bulkhead=3,health=grpc".parse().unwrap();
        assert_eq!((rest.breaker, rest.bulkhead.max_waiting), (None, 0));
        assert_eq!(rest.health, HealthCheck::Grpc);
    }

    #[test]
    fn a_breaker_may_count_slow_answers_and_look_back_a_while() {
        let second = Duration::from_secs(1);
        for (text, slow, within) in [
            ("breaker=50%/20/5s", None, None),
            ("breaker=50%@1s/20/5s", Some(second), None),
            ("breaker=50%/20in10s/5s", None, Some(second * 10)),
            ("breaker=50%@1s/20in10s/5s", Some(second), Some(second * 10)),
        ] {
            let breaker = text.parse::<ClientConfig>().unwrap().breaker();
            assert_eq!(breaker.slow_call, slow, "{text}");
            let window = within.map_or(Window::Calls(100), Window::Time);
            assert_eq!(breaker.window, window, "{text}");
            breaker.validate().unwrap();
        }
    }

    #[test]
    fn a_number_of_calls_may_follow_the_peer() {
        let adaptive = AdaptiveSettings {
            min: 4,
            late: Duration::from_millis(250),
        };
        for (text, max_waiting) in [
            ("bulkhead=4..64@250ms", 0),
            ("bulkhead=4..64@250ms+8/1s", 8),
        ] {
            let bulkhead = text.parse::<ClientConfig>().unwrap().bulkhead;
            assert_eq!(bulkhead.adaptive, Some(adaptive), "{text}");
            let counts = (bulkhead.max_in_flight, bulkhead.max_waiting);
            assert_eq!(counts, (64, max_waiting), "{text}");
        }
    }

    #[test]
    fn every_example_of_the_help_can_be_read() {
        let examples = SETTINGS.lines().filter_map(|line| line.strip_prefix("  "));
        let mut keys = Vec::new();
        for example in examples {
            let (setting, _) = example.split_once(": ").unwrap();
            setting.parse::<ClientConfig>().unwrap();
            keys.push(setting.split_once('=').unwrap().0);
        }
        keys.dedup();
        let all = ALLOWED.match_indices('=').count();
        assert_eq!(keys.len(), all, "{keys:?}");
    }

    #[test]
    fn what_is_not_said_stays_what_the_service_chose() {
        let parse = ClientConfig::over("deadline=3s,attempt=3s");
        let config = parse("retries=1").unwrap();
        assert_eq!(
            (config.deadline, config.retries),
            (Duration::from_secs(3), 1)
        );
    }

    #[test]
    fn a_shorter_deadline_shortens_what_was_not_said() {
        let config: ClientConfig = "deadline=300ms".parse().unwrap();
        let short = Duration::from_millis(300);
        assert_eq!((config.attempt, config.connect), (short, short));
        assert_eq!(config.bulkhead.max_wait, short);
        let parse = ClientConfig::over("breaker=50%@1s/20/5s");
        assert_eq!(
            parse("attempt=300ms").unwrap().breaker.unwrap().slow,
            Some(short)
        );
    }

    #[test]
    fn what_cannot_be_read_is_one_line_that_says_what_can() {
        for text in [
            "deadline",
            "deadline=5",
            "deadline=",
            "deadline=5s,deadline=6s",
            "retries=-1",
            "retries=two",
            "budget=20",
            "breaker=50%",
            "breaker=50%/20/30s/1",
            "breaker=50%@1/20/30s",
            "breaker=50%/20in/30s",
            "breaker=50%/20@10s/30s",
            "bulkhead=8+4",
            "bulkhead=8/4ms",
            "bulkhead=4..8",
            "bulkhead=8@4ms",
            "bulkhead=4..8@soon",
            "bulkhead=..8@4ms",
            "health=readyz",
            "health=:x/readyz",
            "patience=5s",
        ] {
            let line = line(text);
            let key = text.split('=').next().unwrap();
            assert!(line.contains(key), "{text}: {line}");
        }
    }

    #[test]
    fn what_cannot_work_is_one_line_that_names_the_key_and_its_value() {
        for (text, part) in [
            ("deadline=0s", "deadline is 0ns"),
            ("attempt=0ms", "attempt is 0ns"),
            ("connect=0s", "connect is 0ns"),
            ("idle=0s", "idle is 0ns"),
            ("budget=0%", "budget is 0%; allowed is 1% to 100%"),
            ("budget=101%", "budget is 101%"),
            ("retries=10", "retries is 10; allowed is 0 to 9"),
            ("breaker=0%/20/30s", "share of failures is 0%"),
            ("breaker=300%/20/30s", "share of failures is 300%"),
            ("breaker=50%/0/30s", "minimum of calls is 0"),
            ("breaker=50%/20/0s", "time to stay open is 0ns"),
            ("breaker=50%@0s/20/5s", "slow answer is 0ns"),
            (
                "breaker=50%/20in9ms/5s",
                "time of calls is 9ms; allowed is 10ms to 1h",
            ),
            ("breaker=50%/20in61m/5s", "time of calls is 3660s"),
            (
                "bulkhead=0+1/1s",
                "number of calls is 0; allowed is 1 to 65536",
            ),
            ("bulkhead=1+1/0s", "time to wait is 0ns"),
            (
                "bulkhead=9..8@1s",
                "least number is 9; allowed is 1 to its most, 8",
            ),
            ("bulkhead=0..8@1s", "least number is 0"),
            ("bulkhead=1..8@0s", "late answer is 0ns"),
        ] {
            assert!(line(text).contains(part), "{text}: {}", line(text));
        }
    }

    #[test]
    fn what_is_inside_is_not_longer_than_what_is_around_it() {
        for (text, part) in [
            (
                "attempt=6s",
                "attempt is 6s; allowed is above 0 and at most the deadline, 5s",
            ),
            (
                "deadline=1s,attempt=2s",
                "attempt is 2s; allowed is above 0 and at most the deadline, 1s",
            ),
            (
                "connect=3s",
                "connect is 3s; allowed is above 0 and at most the attempt, 2s",
            ),
            (
                "breaker=50%@3s/20/5s",
                "slow answer is 3s; allowed is above 0 and at most the attempt, 2s",
            ),
            (
                "bulkhead=1+1/9s",
                "time to wait is 9s; allowed is above 0 and at most the deadline, 5s",
            ),
            (
                "bulkhead=1..2@9s",
                "late answer is 9s; allowed is above 0 and at most the deadline, 5s",
            ),
        ] {
            assert!(line(text).contains(part), "{text}: {}", line(text));
        }
    }
}
