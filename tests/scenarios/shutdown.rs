//! A deploy fails no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use scenarios::marketplace::Stopped;
use scenarios::shop::one_line;
use scenarios::{Marketplace, wait};
use serde_json::json;

/// Callers at the same time: half sign up (slow: a password is hashed), half order.
const CALLERS: usize = 16;

pub(crate) fn sigterm_answers_all_in_flight(marketplace: &mut dyn Marketplace) {
    let stopped = stop_under_load(marketplace, |marketplace| marketplace.stop());
    let limit = marketplace.stop_max();
    for Stopped {
        process,
        code,
        took,
    } in stopped
    {
        assert_eq!(code, Some(0), "{process} ends well");
        assert!(took <= limit, "{process} took {took:?} to stop");
    }
}

/// Answers all requests in flight, with what they would have been answered anyway, while `stop` stops
/// something.
pub(crate) fn stop_under_load<M: Marketplace + ?Sized, R>(
    marketplace: &mut M,
    stop: impl FnOnce(&mut M) -> R,
) -> R {
    let shop = marketplace.shop();
    let customer = shop.customer();
    let product = shop.product();
    let stopping = AtomicBool::new(false);
    let in_flight = AtomicUsize::new(0);
    let answered = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (shop, customer, product) = (&shop, &customer, &product);
            let (stopping, in_flight, answered) = (&stopping, &in_flight, &answered);
            scope.spawn(move || {
                // One request before the signal at a time; after it no new one is sent.
                while !stopping.load(Ordering::SeqCst) {
                    in_flight.fetch_add(1, Ordering::SeqCst);
                    let answer = if caller % 2 == 0 {
                        let email = format!("{}@example.org", uuid::Uuid::new_v4().simple());
                        let body =
                            json!({"email": email, "name": "Ada", "password": "correct horse"});
                        shop.try_post("/api/users", None, &[], &body)
                    } else {
                        shop.try_post(
                            "/api/orders",
                            Some(&customer.token),
                            &[],
                            &one_line(product, 1),
                        )
                    };
                    in_flight.fetch_sub(1, Ordering::SeqCst);
                    let status = answer
                        .expect("every request that was sent is answered")
                        .status;
                    assert_eq!(status, 201, "answered as always");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait::until("a stream of requests", || {
            let busy = in_flight.load(Ordering::SeqCst) >= CALLERS / 2;
            (busy && answered.load(Ordering::SeqCst) > 2 * CALLERS).then_some(())
        });
        // No new request starts from here on; those in flight are what the signal must not hurt.
        stopping.store(true, Ordering::SeqCst);
        stop(marketplace)
    })
}
