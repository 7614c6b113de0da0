//! The pick, for every state that a set of endpoints can have.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::balance::BalanceConfig;
use crate::balance::endpoint::NOBODY;
use crate::circuit_breaker::CircuitBreaker;
use crate::classify::Outcome;

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Up,
    FreeProbe,
    ProbeUnderWay,
    Down,
}

impl Verdict {
    fn breaker(self) -> CircuitBreaker {
        let config = BalanceConfig::default().breaker;
        let breaker = CircuitBreaker::new("endpoint", config.clone()).unwrap();
        let fail = || breaker.acquire().unwrap().record(Outcome::Failure);
        if self != Self::Up {
            (0..config.consecutive_failures.unwrap()).for_each(|_| fail());
        }
        breaker
    }
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

async fn set_of(given: &[Given], max_ejected_percent: u8) -> Set<usize, ()> {
    let config = BalanceConfig::default();
    let mut breakers: Vec<_> = given.iter().map(|given| given.verdict.breaker()).collect();
    // The breakers of those that are down have just opened, the others long ago.
    tokio::time::advance(config.breaker.open).await;
    for (breaker, given) in breakers.iter_mut().zip(given) {
        match given.verdict {
            Verdict::Up | Verdict::FreeProbe => {}
            Verdict::ProbeUnderWay => assert!(breaker.admit().is_some()),
            Verdict::Down => *breaker = given.verdict.breaker(),
        }
    }
    let endpoint = |(key, (given, breaker)): (usize, (&Given, CircuitBreaker))| {
        let endpoint = Endpoint::new(key, (), breaker, config.tuning(), 1.0);
        endpoint.set_healthy(!given.marked_unhealthy, Instant::now());
        (0..given.pending).for_each(|_| endpoint.begin());
        Arc::new(endpoint)
    };
    Set {
        generation: 0,
        endpoints: given
            .iter()
            .zip(breakers)
            .enumerate()
            .map(endpoint)
            .collect(),
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

/// On paused time.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

async fn is_never_left_out(
    given: &[Given],
    percent: u8,
    avoid: Option<usize>,
    seed: u64,
) -> Result<(), TestCaseError> {
    let (set, now) = (set_of(given, percent).await, Instant::now());
    let up = given.iter().filter(|g| g.is_up()).count();
    let rotation: HashSet<usize> = set.rotation().map(|e| e.key).collect();
    let left_out = given.len() - rotation.len();

    prop_assert!(left_out * 100 <= given.len() * usize::from(percent));
    prop_assert!(!rotation.is_empty());
    prop_assert!(up > 0 || left_out == 0, "none is up, so all are tried");
    for (key, given) in given.iter().enumerate() {
        prop_assert!(!given.is_up() || rotation.contains(&key));
    }
    let limit = given.len() * usize::from(percent) / 100;
    prop_assert!(
        left_out == limit.min(given.len() - up) || up == 0,
        "no more in than must be"
    );

    let avoid_id = avoid
        .and_then(|i| set.endpoints.get(i))
        .map_or(NOBODY, |e| e.id);
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        let (picked, permit) = set.pick(avoid_id, now, &mut rng).unwrap();
        let key = picked.key;
        if let Some(permit) = permit {
            picked.breaker.record(permit, Outcome::Ignored);
        }
        if !rotation.contains(&key) {
            let probe = matches!(given[key].verdict, Verdict::FreeProbe);
            prop_assert!(probe && !given[key].marked_unhealthy && permit.is_some());
            let no_other = avoid.is_some_and(|avoid| rotation == HashSet::from([avoid]));
            prop_assert!(
                avoid_id == NOBODY || no_other,
                "a retry is no probe if there is another"
            );
        }
        if picked.id == avoid_id {
            prop_assert_eq!(rotation.len(), 1, "there was another");
            let mut others = given.iter().enumerate().filter(|(other, _)| *other != key);
            let probed = |g: &Given| matches!(g.verdict, Verdict::FreeProbe) && !g.marked_unhealthy;
            prop_assert!(!others.any(|(_, g)| probed(g)), "another could be probed");
        }
        prop_assert!(permit.is_some() || !given[key].is_up());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_pick_is_never_one_that_is_left_out(
        given in proptest::collection::vec(given(), 1..12),
        percent in 0..=100_u8,
        avoid in proptest::option::of(0..12_usize),
        seed: u64,
    ) {
        block_on(is_never_left_out(&given, percent, avoid, seed))?;
    }

    #[test]
    fn of_two_the_cheaper_is_picked(a in 0..5_u8, b in 0..5_u8, seed: u64) {
        let up = |pending| Given { verdict: Verdict::Up, marked_unhealthy: false, pending };
        let mut rng = StdRng::seed_from_u64(seed);
        let set = block_on(set_of(&[up(a), up(b)], 50));
        let (picked, _) = set.pick(NOBODY, Instant::now(), &mut rng).unwrap();
        prop_assert_eq!([a, b][picked.key], a.min(b));
    }
}

#[tokio::test(start_paused = true)]
async fn all_in_rotation_are_equally_likely_with_and_without_one_out() {
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
        let (set, now) = (set_of(&given, 50).await, Instant::now());
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
