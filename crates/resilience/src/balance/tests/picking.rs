//! The pick, for every state that a set of endpoints can be in.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::balance::Standing;
use crate::balance::endpoint::{Endpoint, NOBODY};
use crate::balance::pick::Set;
use crate::classify::Outcome;

/// A judge that says what it is told to.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Up,
    FreeProbe,
    ProbeUnderWay,
    Down,
}

impl Health for Verdict {
    type Permit = ();

    fn standing(&self, now: Instant) -> Standing {
        match self {
            Verdict::Up => Standing::Up,
            Verdict::FreeProbe | Verdict::ProbeUnderWay => Standing::Probation,
            Verdict::Down => Standing::Down {
                until: now + secs(1),
            },
        }
    }

    fn admit(&self, _: Instant) -> Option<()> {
        matches!(self, Verdict::Up | Verdict::FreeProbe).then_some(())
    }

    fn record(&self, (): (), _: Outcome, _: Instant) {}
}

#[derive(Debug, Clone, Copy)]
struct Given {
    verdict: Verdict,
    marked_unhealthy: bool,
    pending: u8,
}

impl Given {
    fn is_up(self) -> bool {
        matches!(self.verdict, Verdict::Up) && !self.marked_unhealthy
    }
}

fn set_of(given: &[Given], max_ejected_percent: u8) -> Set<usize, (), Verdict> {
    let tuning = BalanceConfig::default().tuning();
    let endpoint = |(key, given): (usize, &Given)| {
        let endpoint = Endpoint::new(key, (), given.verdict, tuning, 1.0);
        endpoint.set_healthy(!given.marked_unhealthy, Instant::now());
        (0..given.pending).for_each(|_| endpoint.begin());
        Arc::new(endpoint)
    };
    Set {
        generation: 0,
        endpoints: given.iter().enumerate().map(endpoint).collect(),
        max_ejected_percent,
    }
}

fn given() -> impl Strategy<Value = Given> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Up),
        1 => Just(Verdict::FreeProbe),
        1 => Just(Verdict::ProbeUnderWay),
        2 => Just(Verdict::Down),
    ];
    (verdict, proptest::bool::weighted(0.2), 0..5_u8).prop_map(
        |(verdict, marked_unhealthy, pending)| Given {
            verdict,
            marked_unhealthy,
            pending,
        },
    )
}

proptest! {
    #[test]
    fn a_pick_is_never_one_that_is_left_out(
        given in proptest::collection::vec(given(), 1..12),
        percent in 0..=100_u8,
        avoid in proptest::option::of(0..12_usize),
        seed: u64,
    ) {
        let (set, now) = (set_of(&given, percent), Instant::now());
        let up = given.iter().filter(|g| g.is_up()).count();
        let rotation: HashSet<usize> = set.rotation(now).map(|e| e.key).collect();
        let left_out = given.len() - rotation.len();

        prop_assert!(left_out * 100 <= given.len() * usize::from(percent));
        prop_assert!(!rotation.is_empty());
        prop_assert!(up > 0 || left_out == 0, "none is up, so all are tried");
        for (key, given) in given.iter().enumerate() {
            prop_assert!(!given.is_up() || rotation.contains(&key));
        }
        let limit = given.len() * usize::from(percent) / 100;
        prop_assert!(left_out == limit.min(given.len() - up) || up == 0, "no more in than must be");

        let avoid_id = avoid.and_then(|i| set.endpoints.get(i)).map_or(NOBODY, |e| e.id);
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..20 {
            let (picked, permit) = set.pick(avoid_id, now, &mut rng).unwrap();
            let key = picked.key;
            if !rotation.contains(&key) {
                let probe = matches!(given[key].verdict, Verdict::FreeProbe);
                prop_assert!(probe && !given[key].marked_unhealthy && permit.is_some());
                let no_other = avoid.is_some_and(|avoid| rotation == HashSet::from([avoid]));
                prop_assert!(avoid_id == NOBODY || no_other, "a retry is no probe if there is another");
            }
            if picked.id == avoid_id {
                prop_assert_eq!(rotation.len(), 1, "there was another");
                let mut others = given.iter().enumerate().filter(|(other, _)| *other != key);
                let probed = |g: &Given| matches!(g.verdict, Verdict::FreeProbe) && !g.marked_unhealthy;
                prop_assert!(!others.any(|(_, g)| probed(g)), "another could be probed");
            }
            prop_assert!(permit.is_some() || !given[key].is_up());
        }
    }

    #[test]
    fn of_two_the_cheaper_is_picked(a in 0..5_u8, b in 0..5_u8, seed: u64) {
        let up = |pending| Given { verdict: Verdict::Up, marked_unhealthy: false, pending };
        let set = set_of(&[up(a), up(b)], 50);
        let mut rng = StdRng::seed_from_u64(seed);
        let (picked, _) = set.pick(NOBODY, Instant::now(), &mut rng).unwrap();
        prop_assert_eq!([a, b][picked.key], a.min(b));
    }
}

#[test]
fn all_in_rotation_are_equally_likely_with_and_without_one_out() {
    let up = Given {
        verdict: Verdict::Up,
        marked_unhealthy: false,
        pending: 0,
    };
    let down = Given {
        verdict: Verdict::Down,
        ..up
    };
    for (given, avoid) in [
        ([up; 5], None),
        ([up, up, down, up, up], None),
        ([up, up, down, up, up], Some(0)),
    ] {
        let (set, now) = (set_of(&given, 50), Instant::now());
        let avoid = avoid.map_or(NOBODY, |i: usize| set.endpoints[i].id);
        let mut rng = StdRng::seed_from_u64(1);
        let mut picks = [0_usize; 5];
        for _ in 0..60_000 {
            picks[set.pick(avoid, now, &mut rng).unwrap().0.key] += 1;
        }
        let among = picks.iter().filter(|&&n| n > 0).count();
        let fair = 60_000 / among;
        let even = picks
            .iter()
            .all(|&n| n == 0 || n.abs_diff(fair) < fair / 20);
        assert!(even, "{picks:?}");
    }
}
