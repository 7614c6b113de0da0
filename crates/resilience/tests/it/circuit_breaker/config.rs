//! What can be configured.

use super::*;

#[test]
fn a_configuration_that_cannot_work_is_refused_in_one_line() {
    type Change = fn(&mut Config);
    let bad: [(Change, &str); 17] = [
        (
            |c| c.window = Window::Calls(0),
            "window is 0; allowed is 1 to 10000",
        ),
        (
            |c| c.window = Window::Calls(10_001),
            "window is 10001; allowed is 1 to 10000",
        ),
        (
            |c| c.window = Window::Time(Duration::ZERO),
            "window is 0ns; allowed is 10ms to 3600s",
        ),
        (
            |c| c.minimum_calls = 0,
            "minimum_calls is 0; allowed is 1 to 10",
        ),
        (
            |c| c.minimum_calls = 11,
            "minimum_calls is 11; allowed is 1 to 10",
        ),
        (
            |c| c.failure_rate_percent = 0,
            "failure_rate_percent is 0; allowed is 1 to 100",
        ),
        (
            |c| c.failure_rate_percent = 101,
            "failure_rate_percent is 101; allowed is 1 to 100",
        ),
        (
            |c| c.consecutive_failures = Some(0),
            "consecutive_failures is 0; allowed is 1 to 4294967295",
        ),
        (
            |c| c.slow_call = Some(Duration::ZERO),
            "slow_call is 0ns; allowed is more than 0, or none",
        ),
        (
            |c| c.open = Duration::ZERO,
            "open is 0ns; allowed is 1ms to 86400s",
        ),
        (
            |c| c.open_max = Duration::ZERO,
            "open_max is 0ns; allowed is 1s to 86400s",
        ),
        (
            |c| c.open_max = Duration::MAX,
            "open_max is 18446744073709551615.999999999s; allowed is 1s to 86400s",
        ),
        (
            |c| c.open_jitter_percent = 51,
            "open_jitter_percent is 51; allowed is 0 to 50",
        ),
        (|c| c.probes = 0, "probes is 0; allowed is 1 to 2"),
        (|c| c.probes = 3, "probes is 3; allowed is 1 to 2"),
        (|c| c.successes = 0, "successes is 0; allowed is 1 to 1000"),
        (
            |c| c.successes = 1001,
            "successes is 1001; allowed is 1 to 1000",
        ),
    ];
    for (change, line) in bad {
        let mut config = config();
        change(&mut config);
        let error = CircuitBreaker::new("dependency", config).unwrap_err();
        assert_eq!(error.to_string(), line);
    }
}

#[test]
fn presets_are_valid() {
    for config in [Config::default(), Config::resilience4j(), Config::opossum()] {
        assert_eq!(config.validate(), Ok(()));
    }
}
