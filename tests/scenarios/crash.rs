//! `kill -9` at any moment: no accepted order is lost, no stock is sold twice, no event overtakes another.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use scenarios::Marketplace;

use crate::ledger::{Ledger, Refusals};
use crate::trials::asked_for;

/// How often everything is killed where nobody asks for more: a round of one process takes four seconds, and one of the
/// containers, which all start again, three times as long.
const ROUNDS_OF_PROCESS: usize = 12;
const ROUNDS_OF_CONTAINERS: usize = 6;
/// How often with `AGORA_CHAOS=1`, as `.ci/long` has it.
const ROUNDS_OF_CHAOS: usize = 20;
/// The kill comes at a random moment of this many milliseconds after the first order of a round.
const KILL_AFTER_MS: std::ops::Range<u64> = 20..900;

pub(crate) fn kill_9_loses_and_doubles_nothing(marketplace: &mut dyn Marketplace) {
    // The seed is in the message of a failure, so that a bad run can be had again.
    let seed = rand::random::<u64>();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    // One process is gone from one moment to the next; of several, the gateway can be the last.
    let refusals = if marketplace.is_one_process() {
        Refusals::BROKEN
    } else {
        Refusals::BOTH
    };
    let rounds = rounds(marketplace.is_one_process());
    let mut ledger = Ledger::open(marketplace);
    for _ in 0..rounds {
        let moment = Duration::from_millis(random.random_range(KILL_AFTER_MS));
        ledger.orders_while(marketplace, refusals, |marketplace, _| {
            // The random moment is the point of this test: there is no condition to wait for.
            std::thread::sleep(moment);
            marketplace.kill();
        });
        marketplace.restart();
    }
    assert!(ledger.accepted() >= rounds, "every round got an order in");
    ledger.assert_balanced(marketplace, &format!("seed {seed}"));
}

fn rounds(is_one_process: bool) -> usize {
    match (asked_for("AGORA_CHAOS"), is_one_process) {
        (true, _) => ROUNDS_OF_CHAOS,
        (false, true) => ROUNDS_OF_PROCESS,
        (false, false) => ROUNDS_OF_CONTAINERS,
    }
}
