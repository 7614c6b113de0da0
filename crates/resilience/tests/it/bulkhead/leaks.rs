//! That nothing is lost: neither places nor room to wait, wherever a call ends.

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::task::coop::unconstrained;
use tokio::time::advance;

use super::moving_limit::adaptive;
use super::*;
use crate::crowd::{self, Inside, hangs, yields};

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_exactly_the_limit_inside_the_rest_refused_in_bounded_time() {
    const LIMIT: usize = 50;
    const WAITING: usize = 100;
    let bulkhead = bulkhead(LIMIT, WAITING);
    let inside = Inside::default();
    let service = BulkheadLayer::new(bulkhead.clone()).layer(hangs(&inside, LIMIT));
    let mut calls = JoinSet::new();
    for _ in 0..10_000 {
        calls.spawn(service.clone().oneshot(()));
    }
    let start = Instant::now();
    let (mut full, mut waited) = (0, 0);
    while full + waited < 10_000 - LIMIT {
        match calls.join_next().await.unwrap().unwrap() {
            Err(BulkheadError::Full { in_flight, waiting }) => {
                assert_eq!((in_flight, waiting), (LIMIT, WAITING));
                assert_eq!(start.elapsed(), Duration::ZERO);
                full += 1;
            }
            Err(BulkheadError::WaitedTooLong { .. }) => waited += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(inside.count(), LIMIT);
    }
    assert_eq!((full, waited), (10_000 - LIMIT - WAITING, WAITING));
    assert_eq!(start.elapsed(), WAIT);
    calls.shutdown().await;
    assert_eq!(inside.count(), 0);
    assert_empty(&bulkhead);
}

/// The same with threads that race, and every third call cancelled wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_racing_calls_leak_nothing() {
    const LIMIT: usize = 8;
    let config = Config {
        max_in_flight: Limit::Fixed(LIMIT),
        max_waiting: 10_000,
        // Real time: so that a leak ends the test.
        max_wait: Duration::from_secs(60),
    };
    let bulkhead = Bulkhead::new(config).unwrap();
    crowd::race(BulkheadLayer::new(bulkhead.clone()).layer(yields(LIMIT))).await;
    assert_empty(&bulkhead);
}

#[derive(Debug, Clone)]
enum Step {
    Start,
    Poll(usize),
    /// The inner call gets its answer.
    Answer(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..16_usize;
    prop_oneof![
        3 => Just(Step::Start),
        4 => index.clone().prop_map(Step::Poll),
        2 => index.clone().prop_map(Step::Answer),
        2 => index.prop_map(Step::Drop),
    ]
}

type Answer = oneshot::Sender<Result<(), ()>>;

/// Does the steps, each one between any two polls of the others, and checks after each that neither too many are
/// inside nor too many wait, and that no place stays empty while somebody waits.
async fn play(bulkhead: &Bulkhead, most_inside: usize, most_waiting: usize, steps: Vec<Step>) {
    let inside = Inside::default();
    let count = inside.clone();
    let inner = service_fn(move |answer: oneshot::Receiver<Result<(), ()>>| {
        let insider = count.enter(most_inside);
        async move {
            let _insider = insider;
            answer.await.unwrap_or(Err(()))
        }
    });
    let mut service = BulkheadLayer::new(bulkhead.clone()).layer(inner);
    let mut calls: Vec<(Pin<Box<_>>, Option<Answer>)> = Vec::new();
    for step in steps {
        match step {
            Step::Start => {
                let (sender, receiver) = oneshot::channel();
                calls.push((Box::pin(service.call(receiver)), Some(sender)));
            }
            Step::Poll(index) if index < calls.len() => {
                if poll_once(&mut calls[index].0).is_some() {
                    drop(calls.remove(index));
                }
            }
            Step::Answer(index) if index < calls.len() => {
                let result = if index % 5 == 0 { Err(()) } else { Ok(()) };
                if let Some(sender) = calls[index].1.take() {
                    // Refused calls have nobody who listens.
                    let _ = sender.send(result);
                }
            }
            Step::Drop(index) if index < calls.len() => drop(calls.remove(index)),
            Step::Poll(_) | Step::Answer(_) | Step::Drop(_) => {}
        }
        advance(Duration::from_millis(1)).await;
        let now = bulkhead.snapshot();
        assert!(now.in_flight <= most_inside, "{now:?}");
        assert!(now.waiting <= most_waiting, "{now:?}");
        assert!(inside.count() <= now.in_flight, "{now:?}");
    }
    // Those who still wait get in as soon as they are asked for, one after the other.
    while let Some((call, sender)) = calls.first_mut() {
        drop(sender.take());
        if poll_once(call).is_none() {
            let free = bulkhead.snapshot();
            assert!(free.in_flight >= free.limit.min(1), "{free:?}");
        }
        calls.remove(0);
    }
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        // Polls by hand would use up the budget of a task and be told "later".
        .block_on(unconstrained(test))
}

proptest! {
    #[test]
    fn futures_dropped_anywhere_leak_nothing(
        limit in 1..4_usize,
        max_waiting in 0..4_usize,
        steps in prop::collection::vec(step(), 0..100),
    ) {
        run(async {
            let bulkhead = bulkhead(limit, max_waiting);
            play(&bulkhead, limit, max_waiting, steps).await;
            assert_empty(&bulkhead);
        });
    }

    #[test]
    fn nor_while_the_limit_moves(
        initial in 1..6_usize,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        run(async {
            let bulkhead = adaptive(AdaptiveConfig {
                initial,
                min: 1,
                max: 6,
                window: Duration::from_millis(1),
                ..AdaptiveConfig::default()
            });
            play(&bulkhead, 6, 8, steps).await;
            assert_empty(&bulkhead);
        });
    }
}
