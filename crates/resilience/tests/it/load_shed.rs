use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::crowd::{self, Inside, hangs, yields};
use resilience::load_shed::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

fn load_shed(max_in_flight: usize, max_waiting: usize) -> LoadShed {
    let config = Config {
        max_in_flight,
        max_waiting,
        ..Config::default()
    };
    LoadShed::new(config).unwrap()
}

fn assert_empty(load_shed: &LoadShed) {
    let now = load_shed.snapshot();
    assert_eq!((now.in_flight, now.waiting), (0, 0));
    let places: Vec<_> = std::iter::from_fn(|| load_shed.try_acquire()).collect();
    assert_eq!(places.len(), now.limit);
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut cx).is_pending()
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_can_be_done_in_time_is_done() {
    let load_shed = load_shed(10, 100);
    let works = service_fn(|()| async {
        sleep(Duration::from_millis(10)).await;
        Ok::<_, Infallible>(())
    });
    let service = LoadShedLayer::new(load_shed.clone()).layer(works);
    let calls: JoinSet<_> = (0..100).map(|_| service.clone().oneshot(())).collect();
    for answer in calls.join_all().await {
        answer.unwrap();
    }
    assert_eq!(load_shed.snapshot().shed, 0);
    assert_empty(&load_shed);
}

/// What became of the calls of a while.
#[derive(Debug, Default)]
struct Outcomes {
    /// How long those who were answered waited to begin.
    waits: Vec<Duration>,
    /// How long those who were refused waited for that.
    refusals: Vec<Duration>,
}

/// Comes at a steady rate, whether there are answers or not.
async fn arrivals(load_shed: &LoadShed, each: Duration, count: u32) -> Outcomes {
    const WORK: Duration = Duration::from_millis(10);
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let load_shed = load_shed.clone();
        calls.spawn(async move {
            let start = Instant::now();
            let permit = load_shed.acquire().await;
            let waited = start.elapsed();
            if permit.is_ok() {
                sleep(WORK).await;
            }
            (permit.is_ok(), waited)
        });
        sleep(each).await;
    }
    let mut outcomes = Outcomes::default();
    for (answered, waited) in calls.join_all().await {
        if answered {
            outcomes.waits.push(waited);
        } else {
            outcomes.refusals.push(waited);
        }
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn under_overload_as_much_is_done_as_can_be_and_soon() {
    // 10 at once that take 10 ms: 1 in a millisecond. 3 come.
    let load_shed = load_shed(10, 1000);
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let load_shed = load_shed.clone();
        calls.spawn(async move { arrivals(&load_shed, Duration::from_millis(1), 5000).await });
    }
    let outcomes = calls.join_all().await;
    let mut waits: Vec<_> = outcomes.iter().flat_map(|o| &o.waits).copied().collect();
    let longest_refusal = outcomes.iter().flat_map(|o| &o.refusals).max().unwrap();
    waits.sort_unstable();
    let config = Config::default();
    assert!(waits.len() >= 4900, "{} of 5000 were possible", waits.len());
    // The first 100 ms are a burst, as far as anybody can know.
    let (p95, longest) = (waits[waits.len() * 95 / 100], waits[waits.len() - 1]);
    let tick = Duration::from_millis(1);
    assert!(p95 <= config.target + tick, "{p95:?}");
    assert!(longest <= config.interval + tick, "{longest:?}");
    assert!(
        *longest_refusal <= config.interval + tick,
        "{longest_refusal:?}"
    );
    assert_empty(&load_shed);

    // And nothing of it is left when the load is.
    let after = arrivals(&load_shed, Duration::from_millis(2), 1000).await;
    assert_eq!((after.waits.len(), after.refusals.len()), (1000, 0));
}

#[tokio::test(start_paused = true)]
async fn when_all_work_hangs_a_refusal_takes_the_interval_then_the_target() {
    let load_shed = load_shed(1, 10);
    let _hangs = load_shed.acquire().await.unwrap();
    let config = Config::default();
    let refused_after = async || {
        let start = Instant::now();
        let overloaded = load_shed.acquire().await.unwrap_err();
        assert_eq!(overloaded.retry_after, config.retry_after);
        start.elapsed()
    };
    // Others keep the queue from being empty.
    let other = load_shed.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(50)).await;
        let _ = other.acquire().await;
    });
    assert_eq!(refused_after().await, config.interval);
    assert_eq!(refused_after().await, config.target);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_a_standing_queue_makes_room() {
    let load_shed = load_shed(1, 2);
    let inside = load_shed.acquire().await.unwrap();
    let mut oldest = Box::pin(load_shed.acquire());
    assert!(is_pending(&mut oldest));
    sleep(Duration::from_millis(99)).await;
    let mut middle = Box::pin(load_shed.acquire());
    assert!(is_pending(&mut middle));
    sleep(Duration::from_millis(1)).await;
    // The oldest has not noticed yet that its time is up as well.
    let mut newest = Box::pin(load_shed.acquire());
    assert!(is_pending(&mut newest));
    assert_eq!(load_shed.snapshot().waiting, 2);
    oldest.await.unwrap_err();
    drop(inside);
    let newest = newest.await.unwrap();
    assert!(is_pending(&mut middle), "the newest goes first");
    drop(newest);
    drop(middle.await.unwrap());
    assert_empty(&load_shed);
}

#[tokio::test(start_paused = true)]
async fn exempt_requests_pass_a_full_server_and_take_no_place() {
    let load_shed = load_shed(1, 0);
    let echo = service_fn(|path: &'static str| async move { Ok::<_, Infallible>(path) });
    let layer = LoadShedLayer::new(load_shed.clone());
    let mut service = layer.exempt(|path: &&str| *path == "/livez").layer(echo);
    let inside = load_shed.acquire().await.unwrap();
    assert_eq!(service.call("/livez").await, Ok("/livez"));
    let retry_after = Config::default().retry_after;
    let overloaded = LoadShedError::Overloaded { retry_after };
    assert_eq!(service.call("/work").await, Err(overloaded));
    drop(inside);
    assert_eq!(service.call("/work").await, Ok("/work"));
    let expected = Snapshot {
        limit: 1,
        in_flight: 0,
        max_waiting: 0,
        waiting: 0,
        admitted: 2,
        shed: 1,
        exempt: 1,
    };
    assert_eq!(load_shed.snapshot(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_place_is_free_when_the_answer_is_there() {
    let load_shed = load_shed(1, 0);
    let inner = service_fn(|()| async { Err::<(), _>("broken") });
    let mut service = LoadShedLayer::new(load_shed.clone()).layer(inner);
    let mut call = Box::pin(service.call(()));
    assert_eq!(load_shed.snapshot().in_flight, 1);
    assert_eq!(call.as_mut().await, Err(LoadShedError::Inner("broken")));
    assert_eq!(load_shed.snapshot().in_flight, 0, "the future still exists");
}

#[tokio::test(start_paused = true)]
async fn futures_dropped_anywhere_leak_nothing() {
    let load_shed = load_shed(1, 10);
    let hangs = service_fn(|()| pending::<Result<(), Infallible>>());
    let mut service = LoadShedLayer::new(load_shed.clone()).layer(hangs);
    let mut call = || Box::pin(service.call(()));

    drop(call());
    assert_empty(&load_shed);

    let mut inside = call();
    assert!(is_pending(&mut inside));
    let never_polled = call();
    let mut leaves = call();
    assert!(is_pending(&mut leaves));
    let mut served = call();
    assert!(is_pending(&mut served));
    let mut stays = call();
    assert!(is_pending(&mut stays));
    assert_eq!(load_shed.snapshot().waiting, 4);
    drop((never_polled, leaves));
    assert_eq!(load_shed.snapshot().waiting, 2);
    // Its place is on the way to the next, who leaves before it arrives.
    drop(inside);
    drop(served);
    assert_eq!(load_shed.snapshot().in_flight, 1);
    assert!(is_pending(&mut stays));
    drop(stays);
    assert_empty(&load_shed);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_exactly_the_limit_inside_the_rest_refused_in_bounded_time() {
    const LIMIT: usize = 50;
    const WAITING: usize = 100;
    let load_shed = load_shed(LIMIT, WAITING);
    let inside = Inside::default();
    let service = LoadShedLayer::new(load_shed.clone()).layer(hangs(&inside, LIMIT));
    let start = Instant::now();
    let mut calls: JoinSet<_> = (0..10_000).map(|_| service.clone().oneshot(())).collect();
    for refused in 1..=10_000 - LIMIT {
        calls.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(inside.count(), LIMIT);
        if refused <= 10_000 - LIMIT - WAITING {
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }
    assert_eq!(start.elapsed(), Config::default().interval);
    calls.shutdown().await;
    assert_eq!(inside.count(), 0);
    assert_empty(&load_shed);
}

/// The same with threads that race, and every third call cancelled wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_racing_calls_leak_nothing() {
    const LIMIT: usize = 8;
    let config = Config {
        max_in_flight: LIMIT,
        max_waiting: 10_000,
        // Real time: nobody is refused, unless a place that is free is not found.
        interval: Duration::from_secs(60),
        ..Config::default()
    };
    let load_shed = LoadShed::new(config).unwrap();
    crowd::race(LoadShedLayer::new(load_shed.clone()).layer(yields(LIMIT))).await;
    assert_empty(&load_shed);
}
