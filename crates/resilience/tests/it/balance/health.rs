//! Who is left out, and how it comes back.

use tower::Layer;

use super::*;
use resilience::balance::RetryElsewhereLayer;
use resilience::circuit_breaker::Config;
use resilience::timeout::TimeoutLayer;

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_left_out_probed_and_comes_back() {
    let [a, b] = [(); 2].map(|()| Server::answering_after(20));
    let mut config = BalanceConfig::default();
    config.breaker.open_jitter_percent = 0;
    let balance = balance(&config, &[("a", &a), ("b", &b)]);
    load(&balance, 10, secs(5)).await;
    b.set_broken(true);
    load(&balance, 10, secs(60)).await;
    assert_eq!(snapshot_of(&balance, "b").state, EndpointState::Ejected);

    // It is out for 30 s by now: one or two probes in a minute, one at a time.
    count_anew([&a, &b]);
    b.in_progress_max.store(0, SeqCst);
    assert!(load(&balance, 10, secs(60)).await <= 2);
    assert!((1..=2).contains(&b.new_calls()));
    assert_eq!(b.in_progress_max.load(SeqCst), 1);
    assert!(a.new_calls() > 25_000);

    b.set_broken(false);
    let mut seconds = 0;
    while !matches!(
        snapshot_of(&balance, "b").state,
        EndpointState::Warming { .. }
    ) {
        load(&balance, 10, secs(1)).await;
        seconds += 1;
        assert!(seconds <= 31, "it is probed within 30 s");
    }
    load(&balance, 10, secs(20)).await;
    count_anew([&a, &b]);
    assert_eq!(load(&balance, 10, secs(10)).await, 0);
    let share = percent(a.new_calls(), b.new_calls());
    assert!((40..=60).contains(&share), "{share} %");
    assert_eq!(snapshot_of(&balance, "b").state, EndpointState::Ready);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_all_are_tried() {
    let servers = [(); 3].map(|()| Server::answering_after(20));
    servers.iter().for_each(|server| server.set_broken(true));
    let [a, b, c] = &servers;
    let balance = balance(&BalanceConfig::default(), &[("a", a), ("b", b), ("c", c)]);
    load(&balance, 10, secs(10)).await;
    count_anew(servers.each_ref());
    assert!(balance.endpoints().snapshot().iter().all(|e| e.in_rotation));
    load(&balance, 10, secs(1)).await;
    let calls = servers.each_ref().map(Server::new_calls);
    assert!(calls.iter().all(|&calls| calls > 50), "{calls:?}");
    // And all come back without a restart.
    servers.iter().for_each(|server| server.set_broken(false));
    load(&balance, 10, secs(60)).await;
    assert_eq!(load(&balance, 10, secs(1)).await, 0);
    let snapshot = balance.endpoints().snapshot();
    assert!(
        snapshot.iter().all(|e| e.state == EndpointState::Ready),
        "{snapshot:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_single_endpoint_is_never_left_out() {
    let server = Server::default();
    server.set_broken(true);
    let balance = balance(&BalanceConfig::default(), &[("only", &server)]);
    for _ in 0..100 {
        assert_eq!(call(&balance).await, Err(BalanceError::Inner("broken")));
    }
    assert!(snapshot_of(&balance, "only").in_rotation);
    assert_eq!(server.new_calls(), 100);
}

#[tokio::test(start_paused = true)]
async fn at_most_the_stated_share_is_left_out() {
    let (good, bad) = (Server::answering_after(20), Server::answering_after(20));
    bad.set_broken(true);
    let servers = [("a", &bad), ("b", &bad), ("c", &bad), ("d", &good)];
    let balance = balance(&BalanceConfig::default(), &servers);
    load(&balance, 10, secs(10)).await;
    let snapshot = balance.endpoints().snapshot();
    let in_rotation = snapshot.iter().filter(|e| e.in_rotation).count();
    assert_eq!(in_rotation, 2, "{snapshot:?}");
    // The one that is bad and had to stay is the dearer of two, each time.
    count_anew([&good, &bad]);
    load(&balance, 10, secs(10)).await;
    let share = percent(good.new_calls(), bad.new_calls());
    assert!(share > 98, "{share} %");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_under_a_timeout_is_left_out() {
    let (good, hanging) = (
        Server::answering_after(5),
        Server::answering_after(1_000_000),
    );
    let config = BalanceConfig {
        late: ms(200),
        ..BalanceConfig::default()
    };
    let balance = balance(&config, &[("good", &good), ("hanging", &hanging)]);
    for _ in 0..2_000 {
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            calls.spawn(
                TimeoutLayer::new(ms(250))
                    .layer(balance.clone())
                    .oneshot(()),
            );
        }
        calls.join_all().await;
    }
    let hanging = snapshot_of(&balance, "hanging");
    assert!(!hanging.in_rotation && hanging.pending == 0, "{hanging:?}");
    assert!(hanging.failures >= 5 && hanging.calls < 40, "{hanging:?}");
}

#[tokio::test(start_paused = true)]
async fn callers_that_lose_interest_early_put_nobody_out() {
    let (a, b) = (
        Server::answering_after(5_000),
        Server::answering_after(5_000),
    );
    let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
    for _ in 0..100 {
        let _ = tokio::time::timeout(ms(10), call(&balance)).await;
    }
    let snapshot = balance.endpoints().snapshot();
    assert!(
        snapshot
            .iter()
            .all(|e| e.in_rotation && e.failures == 0 && e.pending == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_marked_unhealthy_gets_nothing_until_all_are() {
    let [a, b] = [(); 2].map(|()| Server::answering_after(5));
    let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
    let endpoints = balance.endpoints();
    assert!(!endpoints.set_healthy(&"nobody", false));
    assert!(endpoints.set_healthy(&"b", false));
    load(&balance, 10, secs(1)).await;
    assert_eq!(b.new_calls(), 0);
    assert_eq!(snapshot_of(&balance, "b").state, EndpointState::Unhealthy);

    endpoints.set_healthy(&"a", false);
    a.new_calls();
    assert_eq!(load(&balance, 10, secs(1)).await, 0);
    assert!(a.new_calls() > 100 && b.new_calls() > 100, "all are tried");

    endpoints.set_healthy(&"b", true);
    let state = snapshot_of(&balance, "b").state;
    assert!(matches!(state, EndpointState::Warming { .. }), "{state:?}");
    a.new_calls();
    load(&balance, 10, secs(1)).await;
    assert_eq!(a.new_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_forced_out_and_back_by_its_breaker() {
    let [a, b] = [(); 2].map(|()| Server::answering_after(5));
    let balance = balance(&BalanceConfig::default(), &[("a", &a), ("b", &b)]);
    assert!(balance.endpoints().breaker(&"nobody").is_none());
    let breaker = balance.endpoints().breaker(&"b").unwrap();
    assert_eq!(breaker.name(), "servers at \"b\"");
    breaker.force_open();
    load(&balance, 10, secs(60)).await;
    assert_eq!(snapshot_of(&balance, "b").state, EndpointState::Ejected);
    assert_eq!(b.new_calls(), 0);

    breaker.reset();
    load(&balance, 10, secs(1)).await;
    assert!(b.new_calls() > 100);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_an_endpoint_that_is_out_is_no_rejection() {
    let server = Server::default();
    let balance = balance(&BalanceConfig::default(), &[("only", &server)]);
    balance.endpoints().breaker(&"only").unwrap().force_open();
    call(&balance).await.unwrap();
    let seen = snapshot_of(&balance, "only").breaker;
    assert_eq!((seen.rejected, seen.calls), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_elsewhere() {
    /// Tries once more, if that is still to do.
    #[derive(Clone)]
    struct Twice(bool);
    impl tower::retry::Policy<(), (), BalanceError<&'static str>> for Twice {
        type Future = std::future::Ready<()>;
        fn retry(
            &mut self,
            (): &mut (),
            result: &mut Result<(), BalanceError<&'static str>>,
        ) -> Option<Self::Future> {
            (result.is_err() && std::mem::take(&mut self.0)).then(|| std::future::ready(()))
        }
        fn clone_request(&mut self, (): &()) -> Option<()> {
            Some(())
        }
    }
    let servers = [(); 3].map(|()| Server::answering_after(5));
    servers.iter().for_each(|server| server.set_broken(true));
    let [a, b, c] = &servers;
    let config = BalanceConfig {
        max_ejected_percent: 0,
        ..BalanceConfig::default()
    };
    let balance = balance(&config, &[("a", a), ("b", b), ("c", c)]);
    let retrying = tower::retry::RetryLayer::new(Twice(true)).layer(balance.clone());
    let service = RetryElsewhereLayer.layer(retrying);
    for _ in 0..300 {
        let _ = service.clone().oneshot(()).await;
        let calls = servers.each_ref().map(Server::new_calls);
        assert_eq!(
            calls.iter().max(),
            Some(&1),
            "not twice the same: {calls:?}"
        );
        assert_eq!(calls.iter().sum::<u64>(), 2);
    }
    // If there is no other, the same is better than none.
    update(&balance.endpoints(), &[("a", a)]);
    let _ = service.oneshot(()).await;
    assert_eq!(a.new_calls(), 2);
}

#[test]
fn what_cannot_work_is_refused() {
    let valid = BalanceConfig::default();
    assert_eq!(valid.validate(), Ok(()));
    let error = BalanceConfig {
        max_ejected_percent: 101,
        ..valid.clone()
    }
    .validate();
    let line = error.unwrap_err().to_string();
    assert_eq!(line, "max_ejected_percent is 101; allowed is 0 to 100");
    let fields = [
        BalanceConfig {
            decay: Duration::ZERO,
            ..valid.clone()
        },
        BalanceConfig {
            default_latency: Duration::ZERO,
            ..valid.clone()
        },
        BalanceConfig {
            late: Duration::ZERO,
            ..valid.clone()
        },
        BalanceConfig {
            failure_factor: 0,
            ..valid.clone()
        },
        BalanceConfig {
            breaker: Config {
                open: Duration::ZERO,
                ..Config::default()
            },
            ..valid.clone()
        },
    ]
    .map(|config| config.validate().unwrap_err().field());
    assert_eq!(
        fields,
        ["decay", "default_latency", "late", "failure_factor", "open"]
    );
    assert!(
        Balanced::new(
            "servers",
            &BalanceConfig {
                decay: Duration::ZERO,
                ..valid
            },
            ErrorsAreFailures
        )
        .is_err()
    );
}
