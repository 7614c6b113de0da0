//! That a limit moves, and what happens to those inside meanwhile.

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use resilience::classify::{Classify, Outcome};

pub(super) fn adaptive(adaptive: AdaptiveConfig) -> Bulkhead {
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
