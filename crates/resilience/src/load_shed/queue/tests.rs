use proptest::prelude::*;

use super::*;

fn config() -> Config {
    Config {
        max_in_flight: 1,
        max_waiting: 3,
        ..Config::default()
    }
}

/// All places are taken, and these calls wait, one millisecond apart.
fn queue_of(waiters: &[u32]) -> (Queue<u32>, Instant) {
    let mut now = Instant::now();
    let mut queue = Queue::new();
    assert!(queue.enter(&config()));
    for waiter in waiters {
        assert!(!queue.enter(&config()));
        let joined = queue.join(*waiter, &config(), now);
        assert!(matches!(joined, Joined::Waits { .. }), "{joined:?}");
        now += Duration::from_millis(1);
    }
    (queue, now)
}

fn drain(queue: &mut Queue<u32>, now: Instant) -> Vec<u32> {
    std::iter::from_fn(|| queue.leave(&config(), || now)).collect()
}

fn at_most(joined: Joined<u32>) -> Duration {
    match joined {
        Joined::Waits { at_most, .. } => at_most,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_burst_is_served_in_order() {
    let (mut queue, now) = queue_of(&[1, 2, 3]);
    assert_eq!(drain(&mut queue, now), [1, 2, 3]);
    assert_eq!((queue.in_flight(), queue.waiting()), (0, 0));
}

#[test]
fn a_standing_queue_serves_the_newest() {
    let (mut queue, now) = queue_of(&[1, 2, 3]);
    assert_eq!(drain(&mut queue, now + config().interval), [3, 2, 1]);
}

#[test]
fn a_newcomer_waits_for_the_interval_and_in_a_standing_queue_for_the_target() {
    let (mut queue, now) = queue_of(&[1]);
    let joined = queue.join(2, &config(), now);
    assert_eq!(at_most(joined), config().interval);
    let joined = queue.join(3, &config(), now + config().interval);
    assert_eq!(at_most(joined), config().target);
}

#[test]
fn who_would_be_served_last_makes_room() {
    let (mut queue, now) = queue_of(&[1, 2, 3]);
    assert_eq!(queue.join(4, &config(), now), Joined::Refused);
    assert_eq!(queue.waiting(), 3, "nobody lost its place to one refused");
    let joined = queue.join(5, &config(), now + config().interval);
    let evicts_1 = matches!(
        joined,
        Joined::Waits {
            evicted: Some(1),
            ..
        }
    );
    assert!(evicts_1, "{joined:?}");
    assert_eq!(drain(&mut queue, now + config().interval), [5, 3, 2]);
}

#[test]
fn a_queue_that_was_empty_once_does_not_stand() {
    let (mut queue, now) = queue_of(&[1]);
    assert_eq!(queue.leave(&config(), || now), Some(1));
    let later = now + config().interval;
    assert_eq!(at_most(queue.join(2, &config(), later)), config().interval);
    assert_eq!(at_most(queue.join(3, &config(), later)), config().interval);
}

#[test]
fn one_who_leaves_may_be_the_last_too() {
    let (mut queue, now) = queue_of(&[1]);
    assert_eq!(queue.abandon(0), Some(1));
    assert_eq!(queue.abandon(0), None);
    let joined = queue.join(2, &config(), now + config().interval);
    assert_eq!(at_most(joined), config().interval);
}

#[test]
fn a_place_that_became_free_before_one_waits_is_found() {
    let (mut queue, now) = queue_of(&[]);
    assert_eq!(queue.leave(&config(), || now), None);
    assert_eq!(queue.join(1, &config(), now), Joined::Enters);
    assert_eq!((queue.in_flight(), queue.waiting()), (1, 0));
}

#[derive(Debug, Clone)]
enum Step {
    Come,
    /// A caller that looked for a place some steps ago, and found none.
    ComeLate,
    Leave,
    Abandon(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Come),
        2 => Just(Step::ComeLate),
        3 => Just(Step::Leave),
        1 => (0..50_u64).prop_map(Step::Abandon),
        1 => (0..200_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Each call is inside, waiting, or gone, and learns it exactly once.
    #[test]
    fn nobody_is_lost_and_nobody_comes_twice(
        max_in_flight in 1..4_usize,
        max_waiting in 0..5_usize,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let config = Config { max_in_flight, max_waiting, ..Config::default() };
        let mut queue = Queue::new();
        let mut now = Instant::now();
        let (mut inside, mut waiting) = (0_usize, std::collections::BTreeMap::new());
        for (caller, step) in steps.into_iter().enumerate() {
            match step {
                Step::Come if queue.enter(&config) => inside += 1,
                Step::Come | Step::ComeLate => match queue.join(caller, &config, now) {
                    Joined::Enters => inside += 1,
                    Joined::Waits { ticket, evicted, .. } => {
                        if let Some(evicted) = evicted {
                            prop_assert_eq!(waiting.pop_first().map(|(_, c)| c), Some(evicted));
                        }
                        waiting.insert(ticket, caller);
                    }
                    Joined::Refused => {}
                },
                Step::Leave if inside > 0 => match queue.leave(&config, || now) {
                    Some(next) => {
                        let before = waiting.len();
                        waiting.retain(|_, caller| *caller != next);
                        prop_assert_eq!(waiting.len(), before - 1);
                    }
                    None => inside -= 1,
                },
                Step::Leave => {}
                Step::Abandon(ticket) => {
                    prop_assert_eq!(queue.abandon(ticket), waiting.remove(&ticket));
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
            }
            prop_assert_eq!((queue.in_flight(), queue.waiting()), (inside, waiting.len()));
            prop_assert!(inside <= max_in_flight && waiting.len() <= max_waiting);
            prop_assert!(waiting.is_empty() || inside == max_in_flight, "a place is empty");
        }
    }
}
