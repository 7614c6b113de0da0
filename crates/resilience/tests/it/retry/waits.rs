//! Before an attempt: the service's readiness, and what nobody holds meanwhile.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, Service, ServiceExt, service_fn};

use super::{Answer, Broken, Request, layer, request};

/// Ready only when told, and noting whether it was called without being ready.
#[derive(Default)]
struct Gate {
    ready: Rc<RefCell<bool>>,
    found_ready: bool,
}

// As a permit is not cloned, a clone has not been found ready.
impl Clone for Gate {
    fn clone(&self) -> Self {
        Self {
            ready: self.ready.clone(),
            found_ready: false,
        }
    }
}

impl Service<Request> for Gate {
    type Response = &'static str;
    type Error = Broken;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.found_ready = *self.ready.borrow();
        match self.found_ready {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(std::mem::take(&mut self.found_ready), "called unready");
        *self.ready.borrow_mut() = false;
        std::future::ready(Ok("busy"))
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_waits_until_the_service_is_ready() {
    let (gate, layer) = (Gate::default(), layer());
    let mut service = layer.layer(gate.clone());
    *gate.ready.borrow_mut() = true;
    let call = service.ready().await.unwrap().call(request(true));
    let mut call = pin!(call);
    let mut hour = async || tokio::time::timeout(Duration::from_secs(3600), call.as_mut()).await;
    for retries in 0..3 {
        assert!(hour().await.is_err(), "waits for the gate");
        assert_eq!(layer.stats().snapshot().retries, retries);
        *gate.ready.borrow_mut() = true;
    }
    assert_eq!(hour().await, Ok(Ok("busy")));
}

/// Answers at once and holds something for as long as it lives, as a permit of a bulkhead is held.
struct Holding(#[expect(dead_code, reason = "held, not read")] Arc<()>);

impl Future for Holding {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        Poll::Ready(Ok("busy"))
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_during_the_wait_nor_after_a_drop() {
    let (held, layer) = (Arc::new(()), layer());
    let weak = Arc::downgrade(&held);
    let service = service_fn(move |_: Request| Holding(weak.upgrade().unwrap()));
    let copied = request(true);
    let copies = copied.copies.clone();
    {
        let mut call = pin!(layer.layer(service).oneshot(copied));
        let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        assert_eq!(Arc::strong_count(&held), 1, "in the wait");
        assert_eq!(Rc::strong_count(&copies), 2, "the copy is kept");
    }
    assert_eq!(Rc::strong_count(&copies), 1);
    let stats = layer.stats().snapshot();
    assert_eq!((stats.calls, stats.attempts, stats.retries), (1, 1, 0));
}
