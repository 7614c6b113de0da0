use std::time::Duration;

use resilience::circuit_breaker::Window;

use super::super::{AdaptiveSettings, BreakerSettings, BulkheadSettings, HealthCheck};
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
        (
            "breaker=50%/20/999us",
            "time to stay open is 999µs; allowed is 1ms to 24h",
        ),
        ("breaker=50%/20/25h", "time to stay open is 90000s"),
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

/// A client is made of the layers without a further check, so what is taken at the edge must suit them, too.
#[test]
fn the_layers_take_what_the_line_does() {
    for text in [
        "breaker=1%@1ns/1in10ms/1ms",
        "breaker=100%/10000in1h/24h",
        "breaker=50%/10000/5s",
        "breaker=off",
        "bulkhead=1",
        "bulkhead=65536+65536/1ns",
        "bulkhead=1..1@1ns",
        "bulkhead=65536..65536@5s",
        "budget=1%",
        "budget=100%",
        "plain",
    ] {
        let config: ClientConfig = text.parse().unwrap();
        config.breaker().validate().unwrap();
        config.bulkhead().validate().unwrap();
        config.budget().validate().unwrap();
        config.balance().validate().unwrap();
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
