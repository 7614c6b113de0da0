use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use resilience::fault::*;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, service_fn};

const TARGET: &str = "orders";
const DELAY: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(3600);

fn rule(percent: u8, kind: Kind) -> Rule {
    Rule {
        target: TARGET.to_owned(),
        percent,
        kind,
    }
}

/// How calls of one target end, after how long, and how many were made.
struct Caller<S> {
    service: S,
    made: Rc<Cell<usize>>,
}

fn caller(
    faults: &Faults,
    target: &str,
) -> Caller<impl Service<(), Response = &'static str, Error = &'static str>> {
    let made = Rc::new(Cell::new(0));
    let count = Rc::clone(&made);
    let works = service_fn(move |()| {
        count.set(count.get() + 1);
        async { Ok("answer") }
    });
    let layer = FaultLayer::new(faults.clone(), target, || Err("injected"));
    Caller {
        service: layer.layer(works),
        made,
    }
}

impl<S: Service<(), Response = &'static str, Error = &'static str>> Caller<S> {
    async fn call(&mut self) -> (Option<Result<&'static str, &'static str>>, Duration) {
        let start = Instant::now();
        let answer = timeout(PATIENCE, self.service.call(())).await.ok();
        (answer, start.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_broken_at_first_and_after_mending() {
    let faults = Faults::new();
    let mut caller = caller(&faults, TARGET);
    let whole = (Some(Ok("answer")), Duration::ZERO);
    assert_eq!(caller.call().await, whole);
    faults.add(rule(100, Kind::Fail)).unwrap();
    assert_eq!(caller.call().await, (Some(Err("injected")), Duration::ZERO));
    faults.clear_target("another");
    assert_eq!(faults.list(), [rule(100, Kind::Fail)]);
    faults.clear_target(TARGET);
    assert_eq!(caller.call().await, whole);
    faults.set(vec![rule(100, Kind::Hang)]).unwrap();
    faults.clear();
    assert_eq!(caller.call().await, whole);
    assert_eq!(faults.list(), []);
}

#[tokio::test(start_paused = true)]
async fn each_kind_breaks_its_way() {
    let faults = Faults::new();
    let mut caller = caller(&faults, TARGET);
    faults.set(vec![rule(100, Kind::Delay(DELAY))]).unwrap();
    assert_eq!(caller.call().await, (Some(Ok("answer")), DELAY));
    assert_eq!(caller.made.get(), 1);
    faults.set(vec![rule(100, Kind::Hang)]).unwrap();
    assert_eq!(caller.call().await, (None, PATIENCE));
    faults.set(vec![rule(100, Kind::Fail)]).unwrap();
    assert_eq!(caller.call().await, (Some(Err("injected")), Duration::ZERO));
    assert_eq!(caller.made.get(), 1, "neither reached the service");
}

#[tokio::test(start_paused = true)]
async fn rules_of_one_target_add_up() {
    let faults = Faults::new();
    let mut caller = caller(&faults, TARGET);
    let delay = rule(100, Kind::Delay(DELAY));
    let rules = vec![
        delay.clone(),
        delay,
        rule(100, Kind::Fail),
        rule(100, Kind::Hang),
    ];
    faults.set(rules).unwrap();
    assert_eq!(caller.call().await, (Some(Err("injected")), DELAY * 2));
    let broken: Vec<_> = faults.snapshot().iter().map(|rule| rule.broken).collect();
    assert_eq!(broken, [1, 1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_stays_goes_on_counting() {
    let faults = Faults::new();
    let mut caller = caller(&faults, TARGET);
    let delay = rule(100, Kind::Delay(DELAY));
    let counts = || -> Vec<u64> { faults.snapshot().iter().map(|rule| rule.broken).collect() };
    faults.set(vec![delay.clone()]).unwrap();
    caller.call().await;
    faults
        .set(vec![rule(100, Kind::Fail), delay.clone()])
        .unwrap();
    assert_eq!(counts(), [0, 1]);
    // Of two that are equal, one is the one from before.
    faults.set(vec![delay.clone(), delay.clone()]).unwrap();
    assert_eq!(counts(), [1, 0]);
    faults.set(vec![rule(99, Kind::Delay(DELAY))]).unwrap();
    assert_eq!(counts(), [0], "another share is another rule");
    faults.set(vec![delay]).unwrap();
    assert_eq!(counts(), [0], "it was gone in between");
}

#[tokio::test(start_paused = true)]
async fn other_targets_are_left_alone() {
    let faults = Faults::new();
    faults.add(rule(100, Kind::Fail)).unwrap();
    let mut other = caller(&faults, "users");
    assert_eq!(other.call().await, (Some(Ok("answer")), Duration::ZERO));
    assert_eq!(faults.snapshot()[0].broken, 0);
}

/// Which of a thousand calls fail.
async fn failures(seed: u64, percent: u8) -> Vec<bool> {
    let faults = Faults::seeded(seed);
    faults.add(rule(percent, Kind::Fail)).unwrap();
    let mut caller = caller(&faults, TARGET);
    let mut failed = Vec::new();
    for _ in 0..1000 {
        failed.push(caller.call().await.0 == Some(Err("injected")));
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn a_share_of_calls_is_broken() {
    let count = async |percent| failures(1, percent).await.iter().filter(|f| **f).count();
    assert_eq!(count(0).await, 0);
    assert_eq!(count(100).await, 1000);
    let third = count(33).await;
    assert!((280..=380).contains(&third), "{third}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_breaks_the_same_calls() {
    assert_eq!(failures(7, 50).await, failures(7, 50).await);
    assert_ne!(failures(7, 50).await, failures(8, 50).await);
}

#[test]
fn a_rule_that_cannot_be_obeyed_changes_nothing() {
    let faults = Faults::new();
    faults.add(rule(1, Kind::Hang)).unwrap();
    let wrong = [
        (rule(101, Kind::Fail), "percent is 101; allowed is 0 to 100"),
        (
            rule(1, Kind::Delay(Duration::ZERO)),
            "delay is 0ns; allowed is more than 0 s",
        ),
        (
            Rule {
                target: String::new(),
                ..rule(1, Kind::Fail)
            },
            "target is \"\"; allowed is a target's name",
        ),
    ];
    for (wrong, message) in wrong {
        let both = vec![rule(2, Kind::Fail), wrong.clone()];
        assert_eq!(faults.set(both).unwrap_err().to_string(), message);
        assert_eq!(faults.add(wrong).unwrap_err().to_string(), message);
    }
    assert_eq!(faults.list(), [rule(1, Kind::Hang)]);
}
