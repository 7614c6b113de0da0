//! Endpoints come and go, callers too.

use super::*;
use resilience::classify::Outcome;

#[tokio::test(start_paused = true)]
async fn without_endpoints_a_call_fails_at_once() {
    let balance = balance(&BalanceConfig::default(), &[]);
    assert_eq!(call(&balance).await, Err(BalanceError::NoEndpoints));
    assert!(balance.endpoints().is_empty() && balance.endpoints().snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_what_is_known_of_those_that_stay() {
    let [a, b, c] = [(); 3].map(|()| Server::answering_after(5));
    let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
    load(&balance, 10, secs(1)).await;
    let before = snapshot_of(&balance, "a");
    assert!(before.calls > 100 && before.latency_us.is_some());

    let replacement = Server::default();
    update(
        &balance.endpoints(),
        &[("c", &c), ("a", &replacement), ("c", &b)],
    );
    assert_eq!(snapshot_of(&balance, "a"), before);
    let keys: Vec<_> = balance
        .endpoints()
        .snapshot()
        .iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["a", "c"], "the old order first, each once");
    a.new_calls();
    load(&balance, 10, secs(1)).await;
    assert!(
        a.new_calls() > 0 && replacement.new_calls() == 0,
        "the service stays"
    );

    let mut made = Vec::new();
    balance.endpoints().update_with(["c", "d"], |key| {
        made.push(*key);
        Server::default()
    });
    assert_eq!(made, ["d"]);
}

#[tokio::test(start_paused = true)]
async fn calls_at_an_endpoint_that_is_removed_end_as_they_would() {
    let (old, new) = (Server::answering_after(1_000), Server::default());
    let mut balance = balance(&BalanceConfig::default(), &[("old", &old)]);
    let call = tokio::spawn(balance.call(()));
    tokio::time::sleep(ms(500)).await;
    update(&balance.endpoints(), &[("new", &new)]);
    balance.call(()).await.unwrap();
    assert_eq!(
        (old.new_calls(), new.new_calls()),
        (1, 1),
        "nothing new for the old one"
    );
    assert_eq!(call.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn nobody_keeps_a_removed_endpoint() {
    let server = Server::default();
    let balance = balance(&BalanceConfig::default(), &[("a", &server)]);
    call(&balance).await.unwrap();
    // The clone that made the call is gone; the original never called.
    update(&balance.endpoints(), &[]);
    assert_eq!(Arc::strong_count(&server.calls), 1);

    let mut calling = balance.clone();
    update(&balance.endpoints(), &[("a", &server)]);
    calling.call(()).await.unwrap();
    update(&balance.endpoints(), &[]);
    let _ = calling.call(()).await;
    assert_eq!(
        Arc::strong_count(&server.calls),
        1,
        "gone with the next call"
    );

    update(&balance.endpoints(), &[("a", &server)]);
    calling.call(()).await.unwrap();
    let _idle = calling.clone();
    drop(calling);
    update(&balance.endpoints(), &[]);
    let holders = Arc::strong_count(&server.calls);
    assert_eq!(holders, 1, "what never called holds nothing");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_anywhere_leaves_nothing_pending() {
    /// Never ready, or never answers.
    #[derive(Clone)]
    struct Stuck {
        ready: bool,
    }
    impl Service<()> for Stuck {
        type Response = ();
        type Error = ();
        type Future = std::future::Pending<Result<(), ()>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            if self.ready {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        }
        fn call(&mut self, (): ()) -> Self::Future {
            std::future::pending()
        }
    }
    let mut balance = Balance::new("stuck", &BalanceConfig::default(), ErrorsAreFailures).unwrap();
    let endpoints = balance.endpoints();
    let pending = || endpoints.snapshot().iter().map(|e| e.pending).sum::<u64>();
    for ready in [false, true] {
        endpoints.update([(ready, Stuck { ready })]);
        let unpolled = balance.call(());
        assert_eq!(pending(), 1);
        drop(unpolled);
        assert_eq!(pending(), 0);
        let mut polled = Box::pin(balance.call(()));
        assert!(futures::poll!(&mut polled).is_pending());
        assert_eq!(pending(), 1);
        drop(polled);
        assert_eq!(pending(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_frees_its_place() {
    let (good, bad) = (Server::answering_after(20), Server::default());
    bad.set_broken(true);
    let balance = balance(&BalanceConfig::default(), &[("good", &good), ("bad", &bad)]);
    for _ in 0..1_000 {
        if snapshot_of(&balance, "bad").in_rotation {
            let _ = call(&balance).await;
            tokio::time::advance(ms(500)).await;
        }
    }
    assert!(!snapshot_of(&balance, "bad").in_rotation);
    tokio::time::advance(secs(2)).await;
    bad.set_broken(false);
    for probes in 1..=10 {
        bad.new_calls();
        let mut probe = balance.clone().oneshot(());
        bad.delay_ms.store(100_000, SeqCst);
        assert!(futures::poll!(Pin::new(&mut probe)).is_pending());
        assert_eq!(bad.new_calls(), 1, "probe {probes}");
        call(&balance).await.unwrap();
        assert_eq!(bad.new_calls(), 0, "one at a time");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_stay_pending_while_its_body_is_read() {
    let server = Server::answering_after(5);
    let mut balance = balance(&BalanceConfig::default(), &[("a", &server)]);
    let mut pending = balance.pick().unwrap();
    assert_eq!(pending.key(), &"a");
    pending.service().clone().oneshot(()).await.unwrap();
    pending.record(Outcome::Success);
    tokio::time::sleep(secs(3)).await;
    pending.record(Outcome::Failure);
    let seen = snapshot_of(&balance, "a");
    assert_eq!(
        (seen.pending, seen.failures),
        (1, 0),
        "the first record counts"
    );
    drop(pending);
    let seen = snapshot_of(&balance, "a");
    assert_eq!((seen.pending, seen.failures, seen.calls), (0, 0, 1));
    let us = seen.latency_us.unwrap();
    assert!(us <= 6_000, "the body's time is not the answer's: {us} µs");
}
