//! The broker is away, the database is away: wait, say so, go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded::testing::Link;
use messaging::{Status, Watched};
use outbox::RelayOptions;
use parking_lot::Mutex;
use sqlx::Connection as _;
use sqlx::postgres::PgPoolOptions;

use crate::broker::{Broker, away, gated};
use crate::fixture::{Relay, Service, eventually, pool, woken};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_was_away_gets_everything() {
    let service = Service::start().await;
    let broker = Broker::that(|_| async { Err(away()) });
    for n in 0..200 {
        service.count(&format!("key-{}", n % 50)).await;
    }
    let relay = service.relay(broker.clone(), woken()).await;
    relay
        .until_it_says("down", |word| {
            word.as_ref()
                .is_err_and(|why| why.contains("connection refused"))
        })
        .await;
    // It tries again, by a few keys and not by all that has piled up.
    let began: String = sqlx::query_scalar("SELECT clock_timestamp()::text")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    let before = broker.attempts().len();
    broker
        .tries("four more rounds", |seen| seen.len() >= before + 4 * 8)
        .await;
    // A pass that was under way ends, however long that takes on a busy machine.
    eventually("no transaction to stay open while backing off", || async {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND state LIKE 'idle in transaction%' AND xact_start < ($1::text)::timestamptz",
        )
        .bind(&began)
        .fetch_one(&service.pool)
        .await
        .unwrap();
        open == 0
    })
    .await;
    assert_eq!(service.pending().await, 200);

    broker.heal();
    service.until_empty().await;
    relay.until_it_says("up", Result::is_ok).await;
    relay.stop().await;
    for key in 0..50 {
        assert_eq!(broker.numbers(&format!("key-{key}")), [1, 2, 3, 4]);
    }
}

/// Two replicas, and one of them is cut off from the broker: what failed there is sent by the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_relay_has_sent_is_not_held_back_any_more() {
    let service = Service::start().await;
    let options = RelayOptions {
        poll: Duration::from_millis(20),
        ..RelayOptions::default()
    };
    let heard = Arc::new(Mutex::new(Ok(())));
    let log = Arc::clone(&heard);
    let status = Status::new(Arc::new(move |word| *log.lock() = word));
    let cut_off = Watched::new(Broker::that(|_| async { Err(away()) }), status);
    for n in 0..32 {
        service.count(&format!("key-{n}")).await;
    }
    let relay = service.relay(Arc::new(cut_off), options.clone()).await;
    relay.until_it_says("down", Result::is_err).await;
    assert!(heard.lock().is_err(), "its publisher has noticed, too");
    let other = service.relay(Broker::new(), options).await;
    service.until_empty().await;
    relay.until_it_says("up", Result::is_ok).await;
    // One worker drops the holds and tells the publisher; the other one may say meanwhile that there are none.
    eventually("its publisher hears of it", || async {
        heard.lock().is_ok()
    })
    .await;
    relay.stop().await;
    other.stop().await;
}

/// With every commit comes a wake; with the broker away each of them must not become an attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wakes_do_not_hammer_a_broker_that_is_away() {
    let service = Service::start().await;
    let broker = Broker::that(|_| async { Err(away()) });
    for n in 0..16 {
        service.count(&format!("key-{n}")).await;
    }
    let relay = service.relay(broker.clone(), woken()).await;
    relay.until_it_says("down", Result::is_err).await;
    let (before, began) = (broker.attempts().len(), Instant::now());
    for n in 0..300 {
        service.count(&format!("key-{n}")).await;
    }
    let attempts = broker.attempts().len() - before;
    // Two workers, eight keys a probe, a probe each 100 ms at most; some more in the first moments.
    let probes = 10 * usize::try_from(began.elapsed().as_secs()).unwrap() + 20;
    assert!(
        attempts <= 2 * 8 * probes,
        "{attempts} attempts for 300 wakes"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_away_is_read_again() {
    let service = Service::start().await;
    let (link, url) = Link::to_database(&service.url).await;
    let broker = Broker::new();
    let options = RelayOptions {
        poll: Duration::from_millis(20),
        ..RelayOptions::default()
    };
    let relay = Relay::start(
        pool(&url, 8).await,
        service.outbox.clone(),
        broker.clone(),
        options,
    );
    service.count("a").await;
    broker.accepts("the first", |seen| seen.len() == 1).await;

    link.cut();
    let before = link.attempts();
    eventually("it tries", || async { link.attempts() > before }).await;
    service.count("a").await;

    link.mend();
    broker
        .accepts("the second", |seen| seen.iter().any(|seen| seen.n == 2))
        .await;
    service.until_empty().await;
    assert_eq!(
        relay.says(),
        Some(Ok(())),
        "the broker was there all the time"
    );
    relay.stop().await;
    let said: Vec<_> = broker.numbers("a");
    assert!(said.starts_with(&[1]) && said.ends_with(&[2]), "{said:?}");
}

/// A service may start before its database: the relay waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let service = Service::start().await;
    service.count("a").await;
    let (link, url) = Link::to_database(&service.url).await;
    link.cut();
    let lazy = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_millis(500))
        .connect_lazy(&url)
        .unwrap();
    let broker = Broker::new();
    let relay = Relay::start(lazy, service.outbox.clone(), broker.clone(), woken());
    eventually("it tries", || async { link.attempts() > 1 }).await;
    assert_eq!(relay.says(), None, "nothing is known of the broker");
    link.mend();
    service.until_empty().await;
    relay.until_it_says("up", Result::is_ok).await;
    relay.stop().await;

    // Stopping while the database is away takes no longer than stopping otherwise.
    let lazy = PgPoolOptions::new().connect_lazy(&url).unwrap();
    link.cut();
    let relay = Relay::start(lazy, service.outbox.clone(), broker, woken());
    relay.stop().await;
}

/// Its host is gone without a word, in the middle of a pass: nothing ends the connection, and no answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_given_up() {
    let service = Service::start().await;
    let (link, url) = Link::to_database(&service.url).await;
    let (broker, gate) = gated();
    let options = RelayOptions {
        poll: Duration::from_millis(20),
        answer_timeout: Duration::from_millis(300),
        ..RelayOptions::default()
    };
    // One connection: there is no other unless the silent one is closed.
    let relay = Relay::start(
        pool(&url, 1).await,
        service.outbox.clone(),
        broker.clone(),
        options,
    );
    service.count("a").await;
    broker
        .tries("a publication in flight", |seen| seen.len() == 1)
        .await;
    link.silence();
    gate.add_permits(1000);
    broker.accepts("the first", |seen| !seen.is_empty()).await;
    service.count("a").await;

    link.mend();
    broker
        .accepts("the second", |seen| seen.iter().any(|seen| seen.n == 2))
        .await;
    service.until_empty().await;
    relay.stop().await;
}

/// The same before there is a relay.
#[tokio::test]
async fn a_start_gives_up_a_database_that_falls_silent() {
    let service = Service::start().await;
    for fits in [false, true] {
        let (link, url) = Link::to_database(&service.url).await;
        // One connection, as above. It is taken without a question whether it is good.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect(&url)
            .await
            .unwrap();
        let start = async || match fits {
            true => outbox::fit_pages(&pool, Duration::ZERO).await,
            false => outbox::install(&pool).await,
        };
        eventually("an idle connection", || async { pool.num_idle() == 1 }).await;
        link.silence();
        // From here on only time passes, and on this clock at once.
        tokio::time::pause();
        let started = tokio::time::timeout(Duration::from_secs(3600), start()).await;
        let started = started.expect("an end");
        assert!(matches!(started, Err(sqlx::Error::Io(_))), "{started:?}");

        tokio::time::resume();
        link.mend();
        start().await.unwrap();
    }
}

/// It closes nothing, and its transaction would stay open.
#[tokio::test]
async fn a_relay_whose_host_is_gone_holds_its_lanes_for_a_minute_at_most() {
    const LIMIT: &str = "SELECT current_setting('idle_in_transaction_session_timeout')";
    let service = Service::start().await;
    let mut relay = service.pool.acquire().await.unwrap();
    // Unless the pool's owner has said less.
    for (own, in_a_pass) in [("0", "1min"), ("5s", "5s")] {
        let set = format!("SET idle_in_transaction_session_timeout = '{own}'");
        let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set));
        set.execute(&mut *relay).await.unwrap();
        let mut pass = relay.begin().await.unwrap();
        sqlx::raw_sql("SELECT outbox_claim(1, '{0}', '{}', '{}', '{}', 1, 1)")
            .execute(&mut *pass)
            .await
            .unwrap();
        let limit: String = sqlx::query_scalar(LIMIT)
            .fetch_one(&mut *pass)
            .await
            .unwrap();
        assert_eq!(limit, in_a_pass);
        pass.commit().await.unwrap();
        let limit: String = sqlx::query_scalar(LIMIT)
            .fetch_one(&mut *relay)
            .await
            .unwrap();
        assert_eq!(limit, own);
    }
}
