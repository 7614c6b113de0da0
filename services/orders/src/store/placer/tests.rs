//! What orders that share a statement must not notice of each other.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use chrono::Utc;
use embedded::testing::{TestDatabase, fresh_database};
use futures::FutureExt as _;
use futures::future::join_all;
use outbox::Told;
use sqlx::{Postgres, Transaction};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::*;
use crate::domain::{Basket, Money, Order, Quantity};
use crate::events::{self, PlacedVersions};
use crate::store::{self, Claim};

/// Longest wait for a condition, in a test that is about to fail.
const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    pool: PgPool,
    placer: Arc<Placer>,
    customer: Uuid,
    database: TestDatabase,
}

impl Shop {
    async fn new() -> Self {
        let database = fresh_database();
        let pool = db::connect(&database.url, 8, "orders").unwrap();
        store::prepare(&pool).await.unwrap();
        Self {
            placer: Arc::new(Placer::new(pool.clone(), Outbox::new())),
            pool,
            customer: Uuid::now_v7(),
            database,
        }
    }

    fn order(&self, key: Option<&str>) -> NewOrder {
        let product = Uuid::now_v7();
        let mut basket = Basket::default();
        basket.add(product, Quantity::new(2).unwrap()).unwrap();
        let prices = HashMap::from([(product, Money::new(250, "EUR".parse().unwrap()))]);
        let order = Order::place(
            Uuid::now_v7(),
            self.customer,
            basket.price(&prices).unwrap(),
            Utc::now(),
            Duration::from_secs(30),
        );
        let mut told = Told::default();
        events::tell_placed(&mut told, &order, PlacedVersions::Both).unwrap();
        let claim = key.map(|key| Claim {
            key: key.to_owned(),
            lock: lock(key),
            request_hash: [7; 32],
            status_code: 201,
            body: Bytes::from_static(b"{}"),
        });
        NewOrder { order, told, claim }
    }

    /// How many orders each transaction placed, ascending.
    async fn groups(&self) -> Vec<i64> {
        let groups = "SELECT count(*) FROM orders GROUP BY xmin::text ORDER BY 1";
        let groups = sqlx::query_scalar(groups).fetch_all(&self.pool);
        groups.await.unwrap()
    }

    /// The orders and types of all events, in the order in which they were told.
    async fn told(&self) -> Vec<(String, String)> {
        let told = "SELECT key, (SELECT header ->> 1 FROM jsonb_array_elements(outbox_headers(headers, key)) AS header
                                   WHERE header ->> 0 = 'ce_type')
                      FROM outbox ORDER BY id";
        let told = sqlx::query_as(told).fetch_all(&self.pool);
        told.await.unwrap()
    }

    async fn count(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&self.pool);
        count.await.unwrap()
    }

    /// Stops whoever places an order behind the order and before its event, until it is rolled back.
    async fn stop(&self) -> Transaction<'static, Postgres> {
        let mut stop = self.pool.begin().await.unwrap();
        let lock = sqlx::query("LOCK TABLE outbox IN SHARE MODE");
        lock.execute(&mut *stop).await.unwrap();
        stop
    }

    /// Waits until so many statements are stopped.
    async fn until_stopped(&self, statements: i64) {
        let stopped =
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outbox'::regclass";
        let until = async {
            loop {
                let stopped = sqlx::query_scalar(stopped).fetch_one(&self.pool);
                let stopped: i64 = stopped.await.unwrap();
                if stopped == statements {
                    return;
                }
            }
        };
        timeout(PATIENCE, until).await.unwrap();
    }
}

/// Another number for each key of up to seven bytes.
fn lock(key: &str) -> i64 {
    key.bytes()
        .fold(0, |lock, byte| (lock << 8) | i64::from(byte))
}

/// The events of these orders, one order after the other.
fn events_of(orders: &[String]) -> Vec<(String, String)> {
    let both = |id: &String| {
        ["agora.order.placed.v1", "agora.order.placed.v2"]
            .map(|version| (id.clone(), version.to_owned()))
    };
    orders.iter().flat_map(both).collect()
}

/// The first one has a statement of its own. The others come while it is under way, and share the next one.
#[tokio::test]
async fn each_order_of_a_group_is_answered_for_itself() {
    let shop = Shop::new().await;
    let taken = shop.order(Some("taken"));
    let mut placed = vec![taken.order.id.to_string()];
    assert_eq!(shop.placer.place(taken).await.unwrap(), Claimed::Placed);
    let mut running = shop.pool.begin().await.unwrap();
    let held = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock("running"));
    held.execute(&mut *running).await.unwrap();

    let keys = [
        None,
        Some("twice"),
        Some("running"),
        Some("twice"),
        Some("taken"),
        None,
    ];
    let orders = keys.map(|key| shop.order(key));
    placed.extend([0, 1, 5].map(|n| orders[n].order.id.to_string()));
    let claimed = join_all(orders.map(|order| shop.placer.place(order))).await;
    let claimed: Vec<_> = claimed.into_iter().map(Result::unwrap).collect();
    let expected = [
        Claimed::Placed,
        Claimed::Placed,
        Claimed::Running,
        Claimed::Taken,
        Claimed::Taken,
        Claimed::Placed,
    ];
    assert_eq!(claimed, expected);
    assert_eq!(shop.groups().await, [1, 1, 2]);
    assert_eq!(shop.told().await, events_of(&placed));
    let stored = store::find_answer(&shop.pool, shop.customer, "twice").await;
    assert_eq!(stored.unwrap().unwrap().order_id.to_string(), placed[2]);
    let lines: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders JOIN order_lines ON order_id = id")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
    assert_eq!(lines, 4);
}

#[tokio::test]
async fn what_is_refused_of_a_group_is_refused_alone_and_an_outage_meets_all() {
    let shop = Shop::new().await;
    let mut orders = [(); 4].map(|()| shop.order(None));
    // The table's constraint refuses it.
    orders[2].order.total.minor = -1;
    let placed = [0, 1, 3].map(|n| orders[n].order.id.to_string());
    let claimed = join_all(orders.map(|order| shop.placer.place(order))).await;
    for (n, claimed) in claimed.into_iter().enumerate() {
        match claimed {
            Ok(claimed) => assert!(n != 2 && claimed == Claimed::Placed, "{n}: {claimed:?}"),
            Err(error) => assert!(n == 2 && !db::is_unavailable(&error), "{n}: {error}"),
        }
    }
    assert_eq!(shop.told().await, events_of(&placed));

    let orders = [(); 3].map(|()| shop.order(None));
    shop.pool.close().await;
    for claimed in join_all(orders.map(|order| shop.placer.place(order))).await {
        assert!(db::is_unavailable(&claimed.unwrap_err()));
    }
}

#[tokio::test]
async fn a_leader_that_is_cancelled_takes_nobody_along() {
    let shop = Shop::new().await;
    let mut calls: Vec<_> = (0..4)
        .map(|_| Box::pin(shop.placer.place(shop.order(None))))
        .collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    let mut others = calls.split_off(1);
    join_all(calls).await.pop().unwrap().unwrap();

    // Nobody else has been asked since, so the first of the others leads them all.
    let stop = shop.stop().await;
    let mut leader = others.remove(0);
    assert!(leader.as_mut().now_or_never().is_none());
    shop.until_stopped(1).await;
    drop(leader);
    stop.rollback().await.unwrap();
    for claimed in join_all(others).await {
        assert_eq!(claimed.unwrap(), Claimed::Placed);
    }
    assert_eq!(shop.groups().await, [1, 3]);

    // Nobody waits for this one any more.
    let stop = shop.stop().await;
    let mut gone = Box::pin(shop.placer.place(shop.order(None)));
    assert!(gone.as_mut().now_or_never().is_none());
    shop.until_stopped(1).await;
    drop(gone);
    shop.until_stopped(0).await;
    stop.rollback().await.unwrap();
    assert_eq!(shop.count().await, 4);
}

#[tokio::test]
async fn a_group_is_bounded_in_orders_and_in_lines() {
    let shop = Shop::new().await;
    let weight_of = |lines: usize| {
        let mut new = shop.order(None);
        let line = new.order.lines[0];
        new.order.lines = vec![line; lines];
        let (answer, _) = oneshot::channel();
        weight(&Waiting { new, answer })
    };
    assert_eq!([1, 8, 50].map(weight_of), [8, 8, 50]);

    let mut calls: Vec<_> = (0..ORDERS_MAX + 2)
        .map(|_| Box::pin(shop.placer.place(shop.order(None))))
        .collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    for claimed in join_all(calls).await {
        assert_eq!(claimed.unwrap(), Claimed::Placed);
    }
    assert_eq!(shop.groups().await, [1, 1, 32]);
}

/// One leads the first group, and the others wait for that one and then for theirs.
#[tokio::test]
async fn no_order_waits_for_a_connection_longer_than_one_alone() {
    let shop = Shop::new().await;
    let pool = db::connect(&shop.database.url, 1, "orders").unwrap();
    let _held = pool.acquire().await.unwrap();
    let placer = Arc::new(Placer::new(pool, Outbox::new()));
    let orders = [(); 3].map(|()| shop.order(None));
    // From here on nothing happens but waiting.
    tokio::time::pause();
    let begun = Instant::now();
    let placed = join_all(orders.map(|order| placer.place(order))).await;
    // Timers are good for a millisecond.
    assert!(begun.elapsed() < db::ACQUIRE_TIMEOUT + Duration::from_millis(10));
    let is_refused = |placed: &sqlx::Result<_>| matches!(placed, Err(sqlx::Error::PoolTimedOut));
    assert!(placed.iter().all(is_refused), "{placed:?}");
}

/// A group of one replica has its keys and is not over; the other one wants them all, in the opposite order.
#[tokio::test]
async fn groups_of_two_replicas_do_not_wait_for_each_other() {
    let shop = Shop::new().await;
    let other = Arc::new(Placer::new(shop.pool.clone(), Outbox::new()));
    let keys: Vec<String> = (10..30).map(|n| format!("key {n}")).collect();
    let mut lead = Box::pin(shop.placer.place(shop.order(None)));
    assert!(lead.as_mut().now_or_never().is_none());
    let ascending = keys.iter().map(|key| shop.order(Some(key)));
    let mut calls: Vec<_> = ascending
        .map(|order| Box::pin(shop.placer.place(order)))
        .collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    lead.await.unwrap();

    // Nobody else has been asked since, so the first of them leads them all.
    let stop = shop.stop().await;
    assert!(calls[0].as_mut().now_or_never().is_none());
    shop.until_stopped(1).await;
    let descending = keys.iter().rev().map(|key| shop.order(Some(key)));
    let refused = join_all(descending.map(|order| other.place(order)));
    for claimed in timeout(PATIENCE, refused).await.unwrap() {
        assert_eq!(claimed.unwrap(), Claimed::Running);
    }
    stop.rollback().await.unwrap();
    for claimed in join_all(calls).await {
        assert_eq!(claimed.unwrap(), Claimed::Placed);
    }
    assert_eq!(shop.groups().await, [1, 20]);
}
