mod leaks;
mod moving_limit;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::time::Duration;

use resilience::bulkhead::*;
use resilience::deadline::Deadline;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

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
    let served = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for caller in 0..10 {
        let (bulkhead, served) = (bulkhead.clone(), Arc::clone(&served));
        callers.spawn(async move {
            let permit = bulkhead.acquire().await.unwrap();
            served.lock().push(caller);
            tokio::task::yield_now().await;
            drop(permit);
        });
    }
    tokio::task::yield_now().await;
    drop(inside);
    // A newcomer does not pass those who wait.
    assert!(bulkhead.try_acquire().is_none());
    callers.join_all().await;
    assert_eq!(*served.lock(), (0..10).collect::<Vec<_>>());
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
