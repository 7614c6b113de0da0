use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TARGET: Duration = Duration::from_millis(100);

fn config() -> AdaptiveConfig {
    AdaptiveConfig {
        latency_target: TARGET,
        ..AdaptiveConfig::default()
    }
}

/// A dependency of `servers` that each need `service_time` for one call; calls beyond that share them.
#[derive(Debug, Clone, Copy)]
struct Dependency {
    servers: u32,
    service_time: Duration,
}

impl Dependency {
    fn latency(self, in_flight: usize) -> Duration {
        let load = in_flight as f64 / f64::from(self.servers);
        self.service_time.mul_f64(load.max(1.0))
    }

    /// The number of calls in flight at which the latency equals the target.
    fn equilibrium(self) -> usize {
        let calls_in_target = TARGET.as_secs_f64() / self.service_time.as_secs_f64();
        (f64::from(self.servers) * calls_in_target) as usize
    }
}

struct Simulation {
    aimd: Aimd,
    now: Instant,
}

impl Simulation {
    fn new(config: AdaptiveConfig) -> Self {
        let now = Instant::now();
        Self {
            aimd: Aimd::new(config, now),
            now,
        }
    }

    /// Runs `callers` that always have another call to make, for this time.
    fn run(&mut self, dependency: Dependency, callers: usize, time: Duration) -> usize {
        let end = self.now + time;
        while self.now < end {
            let in_flight = callers.min(self.aimd.limit());
            let sample = Sample {
                began: self.now,
                ended: self.now + dependency.latency(in_flight),
                outcome: Outcome::Success,
                at_limit: in_flight == self.aimd.limit(),
            };
            for _ in 0..in_flight {
                self.aimd.record(sample);
            }
            self.now = sample.ended;
        }
        self.aimd.limit()
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Failure),
        Just(Outcome::Ignored)
    ]
}

proptest! {
    #[test]
    fn the_limit_never_leaves_its_bounds(
        (min, initial, max) in (1..50_usize, 0..50_usize, 0..50_usize)
            .prop_map(|(min, more, even_more)| (min, min + more, min + more + even_more)),
        tolerated_percent in 0..=99_u8,
        decrease_percent in 1..=99_u8,
        calls in prop::collection::vec((0..500_u64, 0..200_u64, outcome(), any::<bool>()), 0..500),
    ) {
        let config = AdaptiveConfig {
            initial, min, max, tolerated_percent, decrease_percent, ..config()
        };
        config.validate().unwrap();
        let mut now = Instant::now();
        let mut aimd = Aimd::new(config, now);
        for (gap, latency, outcome, at_limit) in calls {
            let began = now;
            now += Duration::from_millis(gap.max(latency));
            let ended = began + Duration::from_millis(latency);
            aimd.record(Sample { began, ended, outcome, at_limit });
            prop_assert!((min..=max).contains(&aimd.limit()), "{}", aimd.limit());
        }
    }
}

proptest! {
    // Minutes of simulated calls for each case.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_limit_finds_what_the_dependency_can_do_in_time(
        servers in 1..=20_u32,
        service_ms in 20..=50_u64,
        initial in 4..=200_usize,
    ) {
        let dependency = Dependency { servers, service_time: Duration::from_millis(service_ms) };
        let best = dependency.equilibrium();
        let mut simulation = Simulation::new(AdaptiveConfig { initial, ..config() });
        let found = simulation.run(dependency, 1000, Duration::from_secs(300));
        // It climbs to one above, falls by a tenth, rounded down, and climbs again.
        let lowest = (best * 9 / 10).saturating_sub(1).max(4);
        let highest = (best + 1).max(4);
        prop_assert!((lowest..=highest).contains(&found), "found {found}, best {best}");
    }

    #[test]
    fn a_dependency_that_slows_gets_less_and_gets_it_back(slower in 2..=10_u32) {
        let healthy = Dependency { servers: 20, service_time: Duration::from_millis(20) };
        let slow = Dependency { service_time: healthy.service_time * slower, ..healthy };
        let mut simulation = Simulation::new(config());
        let time = Duration::from_secs(60);
        let before = simulation.run(healthy, 1000, time);
        let during = simulation.run(slow, 1000, time);
        let after = simulation.run(healthy, 1000, time);
        prop_assert!(during <= (slow.equilibrium() + 1).max(4), "{during}");
        prop_assert!(during < before);
        prop_assert!(after >= before * 8 / 10, "{before}, then {after}");
    }
}

#[test]
fn a_limit_that_nobody_reaches_does_not_drift() {
    let dependency = Dependency {
        servers: 20,
        service_time: Duration::from_millis(20),
    };
    let mut simulation = Simulation::new(config());
    let found = simulation.run(dependency, 10, Duration::from_secs(3600));
    assert_eq!(found, config().initial);
}

/// What `count` calls, all with the same end, do to the default limit of 20.
fn after(count: usize, latency: Duration, outcome: Outcome) -> usize {
    let now = Instant::now();
    let mut aimd = Aimd::new(config(), now);
    for call in 0..count {
        let began = now + Duration::from_millis(100) * u32::try_from(call).unwrap();
        let sample = Sample {
            began,
            ended: began + latency,
            outcome,
            at_limit: true,
        };
        aimd.record(sample);
    }
    aimd.limit()
}

#[test]
fn one_window_moves_the_limit_once() {
    let in_time = Duration::from_millis(10);
    assert_eq!(after(10, in_time, Outcome::Success), 21);
    assert_eq!(after(10, in_time, Outcome::Failure), 18);
    assert_eq!(after(10, TARGET * 2, Outcome::Success), 18);
}

#[test]
fn few_answers_decide_nothing() {
    assert_eq!(after(9, TARGET * 2, Outcome::Failure), 20);
}

#[test]
fn a_call_given_up_counts_only_if_it_was_late() {
    assert_eq!(after(50, TARGET / 2, Outcome::Ignored), 20);
    assert_eq!(after(10, TARGET * 2, Outcome::Ignored), 18);
}

#[test]
fn calls_that_began_under_another_limit_say_nothing_about_this_one() {
    let now = Instant::now();
    let mut aimd = Aimd::new(config(), now);
    // A hundred calls that began together and are all late: the first ten close a window, the others belong to the old
    // one.
    for _ in 0..100 {
        let ended = now + TARGET * 2;
        let outcome = Outcome::Success;
        aimd.record(Sample {
            began: now,
            ended,
            outcome,
            at_limit: true,
        });
    }
    assert_eq!(aimd.limit(), 18);
}
