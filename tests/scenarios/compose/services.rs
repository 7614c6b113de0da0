//! Services that stop, die and multiply while orders come in.

use scenarios::compose::{Compose, SERVICES};
use scenarios::marketplace::Stopped;
use scenarios::{Marketplace, wait};

use crate::ledger::{Ledger, PACE, Refusals};
use crate::shutdown::stop_under_load;

/// How often each service is killed.
const ROUNDS: usize = 3;
/// Orders that must come through after something happened, before the next thing happens.
const MORE: usize = 20;
/// What shares work with a second one of its kind.
const REPLICATED: [&str; 3] = ["orders", "products", "notifications"];

/// Each service gets SIGTERM under load, one after the other: whoever was being served is answered, the
/// messages in hand are finished or given back, and it exits with 0 in its grace period.
pub(crate) fn sigterm_answers_what_is_in_flight(compose: &mut Compose) {
    let [gateway, behind @ ..] = SERVICES;
    // Nobody stands in front of it: a new connection is refused, so only what is in flight counts.
    let container = only_container(compose, gateway);
    let stopped = stop_under_load(compose, |compose| compose.stop_container(&container));
    assert_ended_well(compose, &stopped);
    start_again(compose, &container);

    let mut ledger = Ledger::open(compose).paced(PACE);
    for service in behind {
        let container = only_container(compose, service);
        ledger.orders_while(compose, Refusals::UNAVAILABLE, |compose, _| {
            let stopped = compose.stop_container(&container);
            assert_ended_well(compose, &stopped);
            start_again(compose, &container);
        });
    }
    ledger.assert_balanced(compose, "SIGTERM");
}

/// The observatory stands still, and then dies, while orders come in. Nobody is refused, and nothing is lost.
pub(crate) fn observatory_frozen_or_killed_costs_nothing(compose: &mut Compose) {
    let container = only_container(compose, "observatory");
    let mut ledger = Ledger::open(compose).paced(PACE);
    ledger.orders_while(compose, Refusals::NONE, |compose, ledger| {
        compose.docker(&["pause", &container]);
        until_more(ledger, "the observatory is frozen");
        compose.docker(&["unpause", &container]);
        compose.docker(&["kill", "--signal", "KILL", &container]);
        until_more(ledger, "the observatory is dead");
        start_again(compose, &container);
    });
    ledger.assert_balanced(compose, "the observatory's end");
}

fn only_container(compose: &Compose, service: &str) -> String {
    let [container] = &compose.containers(service)[..] else {
        panic!("one container of {service}");
    };
    container.clone()
}

/// With 0, within its grace period.
pub(crate) fn assert_ended_well(compose: &Compose, stopped: &Stopped) {
    let limit = compose.stop_max();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.took <= limit, "{stopped:?}, {limit:?} allowed");
}

/// `kill -9` of each service in turn.
pub(crate) fn kill_9_loses_and_doubles_nothing(compose: &mut Compose) {
    let mut ledger = Ledger::open(compose).paced(PACE);
    for round in 1..=ROUNDS {
        for service in SERVICES {
            let refusals = if service == "gateway" {
                Refusals::BOTH
            } else {
                Refusals::UNAVAILABLE
            };
            ledger.orders_while(compose, refusals, |compose, ledger| {
                for container in compose.containers(service) {
                    compose.docker(&["kill", "--signal", "KILL", &container]);
                    start_again(compose, &container);
                }
                until_more(ledger, &format!("{service} is back, round {round}"));
            });
        }
    }
    ledger.assert_balanced(compose, "kill -9 of each");
}

/// Two of each under load, then one of each is killed and stays away.
pub(crate) fn replicas_share_the_work_and_take_over(compose: &mut Compose) {
    two_of_each(compose, &REPLICATED);
    let mut ledger = Ledger::open(compose).paced(PACE);
    ledger.orders_while(compose, Refusals::NONE, |_, ledger| {
        until_more(ledger, "two of each");
    });
    for service in REPLICATED {
        ledger.orders_while(compose, Refusals::UNAVAILABLE, |compose, ledger| {
            let [first, _] = &compose.containers(service)[..] else {
                panic!("two containers of {service}");
            };
            compose.docker(&["kill", "--signal", "KILL", first]);
            until_more(ledger, &format!("one of two {service} is gone"));
        });
    }
    ledger.assert_balanced(compose, "replicas");
}

/// Two of each service behind the gateway, of which one at a time gets SIGTERM, or `kill -9`, and comes back.
/// SIGTERM fails nothing; `kill -9` fails no read, and no order that carries an `Idempotency-Key`.
///
/// Not the gateway, which has the one published port and nobody in front of it who could ask another.
pub(crate) fn replicas_one_by_one_fail_nothing(compose: &mut Compose) {
    let [_gateway, behind @ ..] = SERVICES;
    two_of_each(compose, &behind);
    end_one_by_one(compose, &behind);
}

/// All containers of these services: first by SIGTERM, then by `kill -9`.
pub(crate) fn end_one_by_one(compose: &mut Compose, services: &[&str]) {
    let ledger = Ledger::open(compose).paced(PACE).reading();
    let ledger = one_by_one(compose, services, ledger, |compose, container| {
        let stopped = compose.stop_container(container);
        assert_ended_well(compose, &stopped);
    });
    let ledger = one_by_one(compose, services, ledger.keyed(), |compose, container| {
        compose.docker(&["kill", "--signal", "KILL", container]);
    });
    ledger.assert_balanced(compose, "replicas, one by one");
}

fn one_by_one(
    compose: &mut Compose,
    services: &[&str],
    mut ledger: Ledger,
    end: impl Fn(&Compose, &str),
) -> Ledger {
    for service in services {
        for container in compose.containers(service) {
            ledger.orders_while(compose, Refusals::NONE, |compose, ledger| {
                end(compose, &container);
                until_more(ledger, &format!("{container} is gone"));
                start_again(compose, &container);
                until_more(ledger, &format!("{container} is back"));
            });
        }
    }
    ledger
}

fn two_of_each(compose: &Compose, services: &[&str]) {
    let mut scale = vec!["up", "--detach", "--no-build", "--no-recreate"];
    let twice: Vec<_> = services
        .iter()
        .map(|service| format!("{service}=2"))
        .collect();
    for replicas in &twice {
        scale.extend(["--scale", replicas]);
    }
    compose.run(&scale);
    compose.until_healthy();
}

fn start_again(compose: &Compose, container: &str) {
    compose.docker(&["start", container]);
    compose.until_healthy();
}

/// Orders are accepted again.
pub(crate) fn until_more(ledger: &Ledger, after: &str) {
    let before = ledger.accepted();
    wait::until(&format!("{MORE} more orders: {after}"), || {
        (ledger.accepted() >= before + MORE).then_some(())
    });
}
