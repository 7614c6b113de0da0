use std::convert::Infallible;
use std::time::Duration;

use resilience::timeout::{TimeoutError, TimeoutLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

const AFTER: Duration = Duration::from_secs(1);

async fn answer_after(delay: Duration) -> Result<&'static str, TimeoutError<Infallible>> {
    let slow = service_fn(move |()| async move {
        tokio::time::sleep(delay).await;
        Ok("answer")
    });
    TimeoutLayer::new(AFTER).layer(slow).oneshot(()).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes() {
    assert_eq!(answer_after(AFTER / 2).await, Ok("answer"));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_not_waited_for() {
    let start = tokio::time::Instant::now();
    assert_eq!(
        answer_after(AFTER * 60).await,
        Err(TimeoutError::TimedOut(AFTER))
    );
    assert_eq!(start.elapsed(), AFTER);
}

#[tokio::test(start_paused = true)]
async fn the_services_own_error_keeps_its_type() {
    let failing = service_fn(|()| async { Err::<(), _>("broken") });
    let answer = TimeoutLayer::new(AFTER).layer(failing).oneshot(()).await;
    assert_eq!(answer, Err(TimeoutError::Inner("broken")));
}

#[tokio::test(start_paused = true)]
async fn the_bound_can_differ_from_call_to_call() {
    let hangs = service_fn(|()| std::future::pending::<Result<(), Infallible>>());
    let mut bounded = TimeoutLayer::new(AFTER).layer(hangs);
    for after in [AFTER / 2, AFTER * 2] {
        bounded.set_after(after);
        assert_eq!(bounded.call(()).await, Err(TimeoutError::TimedOut(after)));
    }
}
