use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;
use resilience::deadline::wire::{
    grpc_timeout, http_timeout, parse_grpc_timeout, parse_http_timeout,
};
use resilience::deadline::{Deadline, DeadlineError, DeadlineLayer};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_left_shrinks_to_nothing() {
    let deadline = Deadline::after(WITHIN);
    assert_eq!(deadline.remaining(), WITHIN);
    sleep(WITHIN / 4).await;
    assert_eq!(deadline.remaining(), WITHIN * 3 / 4);
    assert!(!deadline.is_over());
    sleep(WITHIN * 3 / 4).await;
    assert!(deadline.is_over());
    sleep(WITHIN).await;
    assert_eq!(deadline.remaining(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_the_clock_is_far_away() {
    assert!(Deadline::after(Duration::MAX).remaining() > Duration::from_secs(1 << 29));
}

#[tokio::test(start_paused = true)]
async fn inside_is_the_earlier_of_the_outer_and_the_inner_one() {
    let (short, long) = (Deadline::after(WITHIN), Deadline::after(WITHIN * 2));
    // Built from the inside out, as nested layers do.
    let within = |outer: Deadline, inner: Deadline| {
        outer.scope(inner.scope(async {
            tokio::task::yield_now().await;
            Deadline::current()
        }))
    };
    assert_eq!(Deadline::current(), None);
    assert_eq!(within(long, short).await, Some(short));
    assert_eq!(within(short, long).await, Some(short));
    assert_eq!(Deadline::current(), None);
    let own_task = short.scope(async { tokio::spawn(async { Deadline::current() }).await });
    assert_eq!(own_task.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes_and_the_callee_knew_the_deadline() {
    let start = Instant::now();
    let knows = service_fn(|()| {
        let when_called = Deadline::current();
        async move { Ok::<_, Infallible>((when_called, Deadline::current())) }
    });
    let expected = Some(Deadline::at(start + WITHIN));
    assert_eq!(
        DeadlineLayer::new(WITHIN).layer(knows).oneshot(()).await,
        Ok((expected, expected))
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_work_is_dropped() {
    let held = std::sync::Arc::new(());
    let hangs = service_fn(|()| {
        let held = held.clone();
        async move {
            let _held = held;
            pending::<Result<(), Infallible>>().await
        }
    });
    let start = Instant::now();
    let mut call = std::pin::pin!(DeadlineLayer::new(WITHIN).layer(hangs).oneshot(()));
    assert_eq!(
        call.as_mut().await,
        Err(DeadlineError::Exceeded { after: WITHIN })
    );
    assert_eq!(start.elapsed(), WITHIN);
    assert_eq!(std::sync::Arc::strong_count(&held), 1, "while `call` lives");
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_ends_the_call_too() {
    let hangs = service_fn(|()| pending::<Result<(), Infallible>>());
    let start = Instant::now();
    let outer = Deadline::after(WITHIN / 2);
    let call = DeadlineLayer::new(WITHIN).layer(hangs).oneshot(());
    assert_eq!(
        outer.scope(call).await,
        Err(DeadlineError::Exceeded { after: WITHIN / 2 })
    );
    assert_eq!(start.elapsed(), WITHIN / 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_after_the_deadline() {
    let calls = AtomicUsize::new(0);
    let counts = service_fn(|()| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(()) }
    });
    let over = Deadline::after(WITHIN);
    sleep(WITHIN).await;
    let answer = over.scope(DeadlineLayer::new(WITHIN).layer(counts).oneshot(()));
    let exceeded = Err(DeadlineError::Exceeded {
        after: Duration::ZERO,
    });
    assert_eq!(answer.await, exceeded);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_counts_though_the_time_is_up() {
    let late = service_fn(|()| async {
        sleep(WITHIN).await;
        Ok::<_, Infallible>("answer")
    });
    let answer = DeadlineLayer::new(WITHIN).layer(late).oneshot(()).await;
    assert_eq!(answer, Ok("answer"));
}

#[tokio::test(start_paused = true)]
async fn the_services_own_error_keeps_its_type() {
    let mut failing =
        DeadlineLayer::new(WITHIN).layer(service_fn(|()| async { Err::<(), _>("broken") }));
    assert_eq!(failing.call(()).await, Err(DeadlineError::Inner("broken")));
}

#[test]
fn the_wire_forms_are_the_finest_that_fit() {
    let grpc = |left| grpc_timeout(left).to_str().unwrap().to_owned();
    assert_eq!(grpc(Duration::from_nanos(99_999_999)), "99999999n");
    assert_eq!(grpc(Duration::from_millis(100)), "100000u");
    assert_eq!(grpc(Duration::from_secs(99)), "99000000u");
    assert_eq!(grpc(Duration::from_secs(3600)), "3600000m");
    assert_eq!(grpc(Duration::ZERO), "1n");
    assert_eq!(grpc(Duration::MAX), "99999999H");
    assert_eq!(http_timeout(Duration::from_micros(800_900)), "800");
    assert_eq!(http_timeout(Duration::from_micros(1)), "1");
    assert_eq!(http_timeout(Duration::MAX), "99999999");
}

#[test]
fn what_is_no_timeout_is_absent() {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
    let grpc = |text: &str| parse_grpc_timeout(&value(text));
    let http = |text: &str| parse_http_timeout(&value(text));
    assert_eq!(grpc("5S"), Some(Duration::from_secs(5)));
    assert_eq!(
        grpc("99999999H"),
        Some(Duration::from_secs(99_999_999 * 3600))
    );
    for text in [
        "",
        "S",
        "5",
        "5s",
        "-5S",
        "+5S",
        "123456789S",
        "5SS",
        " 5S",
        "5é",
    ] {
        assert_eq!(grpc(text), None, "{text}");
    }
    assert_eq!(http("800"), Some(Duration::from_millis(800)));
    for text in ["", "-1", "+1", "1.5", "123456789", "800ms", " 800", "٣"] {
        assert_eq!(http(text), None, "{text}");
    }
}

proptest! {
    /// What is read is never more than what was written, and hardly less.
    #[test]
    fn a_timeout_survives_the_wire(nanos in 1..=u64::MAX) {
        let left = Duration::from_nanos(nanos);
        let read = parse_grpc_timeout(&grpc_timeout(left)).unwrap();
        prop_assert!(read <= left);
        prop_assert!(left - read <= left / 100_000);
    }

    #[test]
    fn a_timeout_in_milliseconds_survives_the_wire(millis in 1..=99_999_999_u64) {
        let left = Duration::from_millis(millis);
        prop_assert_eq!(parse_http_timeout(&http_timeout(left)), Some(left));
    }

    #[test]
    fn no_header_breaks_the_parsers(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let _ = parse_grpc_timeout(&value);
            let _ = parse_http_timeout(&value);
        }
    }
}
