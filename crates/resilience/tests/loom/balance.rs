//! The state machine of ejection under every interleaving that threads can produce.

#[path = "../../src/balance/probation.rs"]
mod probation;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use probation::{Now, Probation, Rules};

const RULES: Rules = Rules {
    failures: 2,
    base_ms: 100,
    max_ms: 1_000,
    probes: 1,
};
const LATER: u64 = 100;

/// Put out at 0 ms, on probation from [`LATER`].
fn out() -> Arc<Probation> {
    let endpoint = Arc::new(Probation::new(RULES));
    for _ in 0..RULES.failures {
        let admitted = endpoint.admit(0).expect("it is up");
        endpoint.failed(admitted, 0);
    }
    assert_eq!(endpoint.now(0), Now::OutUntil(LATER));
    endpoint
}

/// Runs `f` in two threads, each with its own clone.
fn twice<T: Send + Sync + 'static>(shared: &Arc<T>, f: impl Fn(&T) + Copy + Send + 'static) {
    let other = thread::spawn({
        let shared = shared.clone();
        move || f(&shared)
    });
    f(shared);
    other.join().expect("no panic");
}

#[test]
fn no_failure_is_lost() {
    loom::model(|| {
        let endpoint = Arc::new(Probation::new(RULES));
        twice(&endpoint, |endpoint| {
            let admitted = endpoint.admit(0).expect("one failure does not put it out");
            endpoint.failed(admitted, 0);
        });
        assert_eq!(endpoint.now(0), Now::OutUntil(LATER));
    });
}

#[test]
fn one_probe_at_a_time() {
    loom::model(|| {
        let state = Arc::new((out(), AtomicUsize::new(0)));
        twice(&state, |(endpoint, under_way)| {
            if let Some(admitted) = endpoint.admit(LATER) {
                assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0);
                under_way.fetch_sub(1, Ordering::SeqCst);
                endpoint.given_up(admitted);
            }
        });
        assert!(state.0.admit(LATER).is_some(), "the place is free again");
    });
}

#[test]
fn only_the_probe_decides() {
    loom::model(|| {
        let endpoint = Arc::new(Probation::new(RULES));
        // Began while it was up, ends whenever.
        let [late_failure, late_success] = [(); 2].map(|()| endpoint.admit(0).expect("it is up"));
        for _ in 0..RULES.failures {
            let admitted = endpoint.admit(0).expect("it is up");
            endpoint.failed(admitted, 0);
        }
        let other = thread::spawn({
            let endpoint = endpoint.clone();
            move || {
                endpoint.failed(late_failure, LATER);
                endpoint.succeeded(late_success);
            }
        });
        let probe = endpoint.admit(LATER).expect("its time is up");
        assert!(endpoint.admit(LATER).is_none() || endpoint.now(LATER) == Now::Up);
        endpoint.succeeded(probe);
        other.join().expect("no panic");
        assert_eq!(endpoint.now(LATER), Now::Up);
    });
}

#[test]
fn a_probe_that_fails_while_others_ask_puts_it_out_again() {
    loom::model(|| {
        let endpoint = out();
        twice(&endpoint, |endpoint| {
            if let Some(admitted) = endpoint.admit(LATER) {
                endpoint.failed(admitted, LATER);
            }
        });
        assert_eq!(endpoint.now(LATER), Now::OutUntil(LATER + 200));
    });
}
