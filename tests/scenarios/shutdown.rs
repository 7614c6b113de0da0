//! A deploy fails no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::shop::one_line;
use scenarios::wait;
use serde_json::json;

/// Callers at the same time: half sign up (slow: a password is hashed), half order.
const CALLERS: usize = 16;
/// The promise: from the signal to the end of the process.
const STOP_MAX: Duration = Duration::from_secs(5);

pub(crate) fn sigterm_answers_all_in_flight() {
    let mut marketplace = Embedded::start(&[]);
    let shop = marketplace.shop();
    let customer = shop.customer();
    let product = shop.catalogue()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let stopping = AtomicBool::new(false);
    let in_flight = AtomicUsize::new(0);
    let answered = AtomicUsize::new(0);

    let (status, took) = std::thread::scope(|scope| {
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
        let since = Instant::now();
        marketplace.terminate();
        let (status, _) = marketplace.ended();
        (status, since.elapsed())
    });
    assert!(status.success(), "it ends with {status}");
    assert!(took <= STOP_MAX, "it took {took:?} to stop");
    assert!(
        !marketplace.directory().join("endpoints.json").exists(),
        "the file is removed"
    );
}
