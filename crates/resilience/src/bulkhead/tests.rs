use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::classify::{Classify, Outcome};
use crate::deadline::Deadline;

const WAIT: Duration = Duration::from_millis(100);

fn bulkhead(limit: usize, max_waiting: usize) -> Bulkhead {
    let config = Config {
        max_in_flight: Limit::Fixed(limit),
        max_waiting,
        max_wait: WAIT,
    };
    Bulkhead::new(config).unwrap()
}

/// Nobody is inside or waits, and all places can be had.
fn assert_empty(bulkhead: &Bulkhead) {
    let now = bulkhead.snapshot();
    assert_eq!((now.in_flight, now.waiting), (0, 0));
    let places: Vec<_> = std::iter::from_fn(|| bulkhead.try_acquire()).collect();
    assert_eq!(places.len(), now.limit);
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_are_inside_so_many_wait_and_the_next_is_refused() {
    let bulkhead = bulkhead(2, 1);
    let first = bulkhead.acquire().await.unwrap();
    let _second = bulkhead.acquire().await.unwrap();
    let mut third = Box::pin(bulkhead.acquire());
    assert!(poll_once(&mut third).is_none());
    let full = Rejected::Full {
        in_flight: 2,
        waiting: 1,
    };
    assert_eq!(bulkhead.acquire().await.unwrap_err(), full);
    drop(first);
    let _third = third.await.unwrap();
    let now = bulkhead.snapshot();
    let expected = Snapshot {
        limit: 2,
        in_flight: 2,
        max_waiting: 1,
        waiting: 0,
        admitted: 3,
        full: 1,
        waited_too_long: 0,
    };
    assert_eq!(now, expected);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_stated() {
    let bulkhead = bulkhead(1, 1);
    let inside = bulkhead.acquire().await.unwrap();
    let start = Instant::now();
    let rejected = bulkhead.acquire().await.unwrap_err();
    assert_eq!(rejected, Rejected::WaitedTooLong { waited: WAIT });
    assert_eq!(start.elapsed(), WAIT);
    assert_eq!(bulkhead.snapshot().waited_too_long, 1);
    drop(inside);
    assert_empty(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_its_deadline() {
    let bulkhead = bulkhead(1, 2);
    let _inside = bulkhead.acquire().await.unwrap();
    let waits = service_fn(|()| pending::<Result<(), Infallible>>());
    for (left, waited) in [(WAIT / 2, WAIT / 2), (WAIT * 2, WAIT)] {
        let by_hand = Deadline::after(left).scope(bulkhead.acquire());
        let rejected = Rejected::WaitedTooLong { waited };
        assert_eq!(by_hand.await.unwrap_err(), rejected);
        let call = BulkheadLayer::new(bulkhead.clone())
            .layer(waits)
            .oneshot(());
        let answer = Deadline::after(left).scope(call).await;
        assert_eq!(answer, Err(BulkheadError::WaitedTooLong { waited }));
    }
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let bulkhead = bulkhead(1, 10);
    let inside = bulkhead.acquire().await.unwrap();
    let served = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for caller in 0..10 {
        let (bulkhead, served) = (bulkhead.clone(), Arc::clone(&served));
        callers.spawn(async move {
            let permit = bulkhead.acquire().await.unwrap();
            served.lock().unwrap().push(caller);
            tokio::task::yield_now().await;
            drop(permit);
        });
    }
    tokio::task::yield_now().await;
    drop(inside);
    // A newcomer does not pass those who wait.
    assert!(bulkhead.try_acquire().is_none());
    callers.join_all().await;
    assert_eq!(*served.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_and_not_called_holds_no_place() {
    let bulkhead = bulkhead(1, 0);
    let inner = service_fn(|()| async { Ok::<_, Infallible>("answer") });
    let mut service = BulkheadLayer::new(bulkhead.clone()).layer(inner);
    let mut other = service.clone();
    service.ready().await.unwrap();
    assert_eq!(bulkhead.snapshot().in_flight, 0);
    assert_eq!(other.ready().await.unwrap().call(()).await, Ok("answer"));
}

#[tokio::test(start_paused = true)]
async fn the_place_is_free_when_the_answer_is_there() {
    let bulkhead = bulkhead(1, 0);
    let inner = service_fn(|()| async { Err::<(), _>("broken") });
    let mut service = BulkheadLayer::new(bulkhead.clone()).layer(inner);
    let mut call = Box::pin(service.call(()));
    assert_eq!(bulkhead.snapshot().in_flight, 1);
    assert_eq!(call.as_mut().await, Err(BulkheadError::Inner("broken")));
    assert_eq!(bulkhead.snapshot().in_flight, 0, "the future still exists");
    drop(call);
    assert_empty(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_never_reaches_the_service() {
    let bulkhead = bulkhead(1, 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let inner = service_fn(move |()| {
        count.fetch_add(1, SeqCst);
        pending::<Result<(), Infallible>>()
    });
    let mut service = BulkheadLayer::new(bulkhead.clone()).layer(inner);
    let _inside = service.call(());
    let late = service.call(());
    let full = BulkheadError::Full {
        in_flight: 1,
        waiting: 1,
    };
    assert_eq!(service.call(()).await, Err(full));
    let waited = BulkheadError::WaitedTooLong { waited: WAIT };
    assert_eq!(late.await, Err(waited));
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_permit_may_outlive_the_call_in_a_body() {
    struct Body {
        _permit: Permit,
    }
    let bulkhead = bulkhead(1, 0);
    let body = {
        let permit = bulkhead.acquire().await.unwrap();
        Body { _permit: permit }
    };
    let reader = tokio::spawn(async move {
        sleep(WAIT).await;
        drop(body);
    });
    assert!(bulkhead.try_acquire().is_none());
    reader.await.unwrap();
    assert_empty(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn a_place_given_to_one_who_left_goes_to_the_next() {
    let bulkhead = bulkhead(1, 2);
    let inside = bulkhead.acquire().await.unwrap();
    let mut leaves = Box::pin(bulkhead.acquire());
    let mut stays = Box::pin(bulkhead.acquire());
    assert!(poll_once(&mut leaves).is_none());
    assert!(poll_once(&mut stays).is_none());
    drop(inside);
    // The place is already its own, though it was not polled since.
    drop(leaves);
    let permit = poll_once(&mut stays).unwrap().unwrap();
    drop((permit, stays));
    assert_empty(&bulkhead);
}

/// Counts itself while it exists.
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn enter(inside: &Arc<AtomicUsize>, limit: usize) -> Self {
        let now = inside.fetch_add(1, SeqCst) + 1;
        assert!(now <= limit, "{now} inside");
        Self(Arc::clone(inside))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_exactly_the_limit_inside_the_rest_refused_in_bounded_time() {
    const LIMIT: usize = 50;
    const WAITING: usize = 100;
    let bulkhead = bulkhead(LIMIT, WAITING);
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let hangs = service_fn(move |()| {
        let inside = Inside::enter(&count, LIMIT);
        async move {
            let _inside = inside;
            pending::<Result<(), Infallible>>().await
        }
    });
    let service = BulkheadLayer::new(bulkhead.clone()).layer(hangs);
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
        assert_eq!(inside.load(SeqCst), LIMIT);
    }
    assert_eq!((full, waited), (10_000 - LIMIT - WAITING, WAITING));
    assert_eq!(start.elapsed(), WAIT);
    calls.shutdown().await;
    assert_eq!(inside.load(SeqCst), 0);
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
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let works = service_fn(move |()| {
        let inside = Inside::enter(&count, LIMIT);
        async move {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            drop(inside);
            Ok::<_, Infallible>(())
        }
    });
    let service = BulkheadLayer::new(bulkhead.clone()).layer(works);
    let mut calls = JoinSet::new();
    for call in 0..10_000 {
        let task = calls.spawn(service.clone().oneshot(()));
        if call % 3 == 0 {
            task.abort();
        }
    }
    while let Some(call) = calls.join_next().await {
        match call {
            Ok(answer) => answer.unwrap(),
            Err(aborted) => assert!(aborted.is_cancelled(), "{aborted}"),
        }
    }
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
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let inner = service_fn(move |answer: oneshot::Receiver<Result<(), ()>>| {
        let inside = Inside::enter(&count, most_inside);
        async move {
            let _inside = inside;
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
        assert!(inside.load(SeqCst) <= now.in_flight, "{now:?}");
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

fn adaptive(adaptive: AdaptiveConfig) -> Bulkhead {
    let config = Config {
        max_in_flight: Limit::Adaptive(adaptive),
        max_waiting: 8,
        max_wait: WAIT * 10,
    };
    Bulkhead::new(config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_shrinks_sends_nobody_away_and_lets_nobody_in() {
    let bulkhead = adaptive(AdaptiveConfig::default());
    let mut permits: Vec<_> = std::iter::from_fn(|| bulkhead.try_acquire()).collect();
    assert_eq!(permits.len(), 20);
    sleep(Duration::from_secs(1)).await;
    for permit in &mut permits {
        permit.record(Outcome::Success);
    }
    let now = bulkhead.snapshot();
    assert_eq!(
        (now.limit, now.in_flight),
        (18, 20),
        "late answers shrink it once"
    );
    permits.truncate(18);
    assert!(bulkhead.try_acquire().is_none());
    permits.truncate(17);
    assert!(bulkhead.try_acquire().is_some());
    drop(permits);
    assert_empty(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_keeps_the_places_that_it_was_to_give_up() {
    let tick = Duration::from_millis(1);
    let bulkhead = adaptive(AdaptiveConfig {
        window: tick,
        ..AdaptiveConfig::default()
    });
    let take_ten = || Vec::from_iter((0..10).map(|_| bulkhead.try_acquire().unwrap()));
    let mut first = take_ten();
    sleep(tick).await;
    let mut second = take_ten();
    for permit in &mut first {
        permit.record(Outcome::Failure);
    }
    sleep(tick).await;
    for permit in &mut second {
        permit.record(Outcome::Success);
    }
    let now = bulkhead.snapshot();
    assert_eq!((now.limit, now.in_flight), (19, 20), "down to 18, then up");
    drop((first, second));
    assert_empty(&bulkhead);
}

/// Callers who always want more of a dependency that gets slower the more it has to do.
async fn load(bulkhead: &Bulkhead, service_time: Duration, time: Duration) -> usize {
    const SERVERS: usize = 10;
    let in_flight = Arc::new(AtomicUsize::new(0));
    let dependency = service_fn(move |()| {
        let in_flight = Arc::clone(&in_flight);
        async move {
            let ahead = in_flight.fetch_add(1, SeqCst) + 1;
            sleep(service_time.mul_f64((ahead as f64 / SERVERS as f64).max(1.0))).await;
            in_flight.fetch_sub(1, SeqCst);
            Ok::<_, Infallible>(())
        }
    });
    let service = BulkheadLayer::new(bulkhead.clone()).layer(dependency);
    let end = Instant::now() + time;
    let mut callers = JoinSet::new();
    for _ in 0..60 {
        let mut service = service.clone();
        callers.spawn(async move {
            while Instant::now() < end {
                if service.ready().await.unwrap().call(()).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    callers.join_all().await;
    bulkhead.snapshot().limit
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_follows_its_dependency_down_and_up() {
    let bulkhead = adaptive(AdaptiveConfig {
        latency_target: Duration::from_millis(100),
        ..AdaptiveConfig::default()
    });
    let minute = Duration::from_secs(60);
    // 10 servers that take 20 ms can have 50 calls in flight for 100 ms each; at 80 ms, 12 calls.
    let fast = load(&bulkhead, Duration::from_millis(20), minute).await;
    let slow = load(&bulkhead, Duration::from_millis(80), minute).await;
    let again = load(&bulkhead, Duration::from_millis(20), minute).await;
    assert!((40..=55).contains(&fast), "{fast}");
    assert!((9..=15).contains(&slow), "{slow}");
    assert!((40..=55).contains(&again), "{again}");
    assert_empty(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn the_classifier_says_what_a_failure_is() {
    #[derive(Clone)]
    struct NothingFails;
    impl<T, E> Classify<T, E> for NothingFails {
        fn classify(&self, _: Result<&T, &E>) -> Outcome {
            Outcome::Success
        }
    }
    async fn after_failures<C>(layer: BulkheadLayer<C>) -> usize
    where
        C: Classify<(), ()> + Clone,
    {
        let bulkhead = layer.bulkhead().clone();
        let inner = service_fn(|()| async {
            sleep(WAIT / 2).await;
            Err::<(), _>(())
        });
        let mut service = layer.layer(inner);
        for _ in 0..10 {
            let _ = service.ready().await.unwrap().call(()).await;
        }
        bulkhead.snapshot().limit
    }
    let layer = || BulkheadLayer::new(adaptive(AdaptiveConfig::default()));
    assert_eq!(after_failures(layer()).await, 18);
    assert_eq!(
        after_failures(layer().classify_with(NothingFails)).await,
        20
    );
}
