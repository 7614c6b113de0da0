//! Who gets how much.

use super::*;

#[tokio::test(start_paused = true)]
async fn of_two_equals_each_gets_half() {
    for callers in [2, 10, 50] {
        let [a, b] = [(); 2].map(|()| Server::answering_after(5));
        let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
        assert_eq!(load(&balance, callers, secs(10)).await, 0);
        let share = percent(a.new_calls(), b.new_calls());
        assert!((40..=60).contains(&share), "{share} % with {callers}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_the_one_that_is_twenty_times_slower_gets_little() {
    for callers in [1, 10] {
        let (fast, slow) = (Server::answering_after(5), Server::answering_after(100));
        let balance = balance(
            &BalanceConfig::default(),
            &[("fast", &fast), ("slow", &slow)],
        );
        load(&balance, callers, secs(20)).await;
        let share = percent(fast.new_calls(), slow.new_calls());
        assert!(share > 95, "{share} % with {callers} callers");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_becomes_slow_is_left_and_one_that_recovers_is_found_again() {
    let [a, b] = [(); 2].map(|()| Server::answering_after(20));
    let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
    load(&balance, 10, secs(5)).await;
    b.delay_ms.store(400, SeqCst);
    load(&balance, 10, secs(1)).await;
    count_anew([&a, &b]);
    load(&balance, 10, secs(10)).await;
    let share = percent(a.new_calls(), b.new_calls());
    assert!(share > 95, "{share} % to the fast one");
    b.delay_ms.store(20, SeqCst);
    load(&balance, 10, secs(60)).await;
    count_anew([&a, &b]);
    load(&balance, 10, secs(10)).await;
    let share = percent(a.new_calls(), b.new_calls());
    assert!((40..=60).contains(&share), "{share} % after the recovery");
}

#[tokio::test(start_paused = true)]
async fn failing_fast_does_not_look_like_working_fast() {
    let (good, bad) = (Server::answering_after(20), Server::answering_after(0));
    bad.set_broken(true);
    let config = BalanceConfig {
        // Only the cost may keep calls away.
        max_ejected_percent: 0,
        ..BalanceConfig::default()
    };
    let balance = balance(&config, &[("good", &good), ("bad", &bad)]);
    load(&balance, 10, secs(20)).await;
    let share = percent(good.new_calls(), bad.new_calls());
    assert!(share > 95, "{share} % to the good one");
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_is_warmed_in() {
    let [old, new] = [(); 2].map(|()| Server::answering_after(20));
    let balance = balance(&BalanceConfig::default(), &[("old", &old)]);
    load(&balance, 20, secs(10)).await;
    update(&balance.endpoints(), &[("old", &old), ("new", &new)]);
    // Faster than the others, as an empty one is.
    new.delay_ms.store(15, SeqCst);
    let mut shares = Vec::new();
    for _ in 0..12 {
        count_anew([&old, &new]);
        load(&balance, 20, secs(1)).await;
        shares.push(percent(new.new_calls(), old.new_calls()));
    }
    assert!(shares[0] > 0, "it gets something at once: {shares:?}");
    // With two endpoints, each call has it for a candidate.
    assert!(shares[0] <= 20 && shares[4] <= 60, "{shares:?}");
    assert!(shares[11] > 55, "it gets what it deserves: {shares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_is_not_spared_for_one_that_is_far_slower() {
    let (slow, new) = (Server::answering_after(100), Server::answering_after(5));
    let balance = balance(&BalanceConfig::default(), &[("slow", &slow)]);
    load(&balance, 10, secs(5)).await;
    update(&balance.endpoints(), &[("slow", &slow), ("new", &new)]);
    count_anew([&slow, &new]);
    load(&balance, 10, secs(3)).await;
    let share = percent(new.new_calls(), slow.new_calls());
    assert!(share > 95, "{share} %");
}

#[tokio::test(start_paused = true)]
async fn the_first_endpoints_need_no_warming_in() {
    let server = Server::default();
    let balance = balance(&BalanceConfig::default(), &[("a", &server), ("b", &server)]);
    let snapshot = balance.endpoints().snapshot();
    assert!(snapshot.iter().all(|e| e.state == EndpointState::Ready));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_which_nothing_is_known_is_not_flooded() {
    let (old, new) = (Server::answering_after(5), Server::answering_after(100_000));
    let balance = balance(&no_warm_in(), &[("old", &old)]);
    load(&balance, 10, secs(1)).await;
    update(&balance.endpoints(), &[("old", &old), ("new", &new)]);
    let mut calls: Vec<_> = (0..10).map(|_| balance.clone().oneshot(())).collect();
    for call in &mut calls {
        assert!(futures::poll!(Pin::new(call)).is_pending());
    }
    let pending = snapshot_of(&balance, "new").pending;
    assert!(
        (4..=6).contains(&pending),
        "{pending} of 10: like the other"
    );
}
