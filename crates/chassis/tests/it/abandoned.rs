//! Statements whose caller has gone end in PostgreSQL, too.

mod doors;

use chassis::db;
use embedded::testing::Link;
use sqlx::PgPool;

use crate::support::{PATIENCE, connected, eventually};

/// Longer than any test waits.
const SLOW: &str = "SELECT pg_sleep(600)";

/// A service's pool, and a connection beside it that looks at what the server does.
struct World {
    pool: PgPool,
    link: Link,
    observer: PgPool,
}

impl World {
    /// The pool has `connections`, and no limit on the time of a statement: what ends one here is
    /// that nobody waits for it.
    async fn new(connections: u32) -> Self {
        let database = embedded::testing::fresh_database();
        let (link, url) = Link::to_database(&database.url).await;
        let pool = db::connect(&url, connections, "abandoned").unwrap();
        let unlimited = (*pool.connect_options())
            .clone()
            .options([("statement_timeout", "0")]);
        pool.set_connect_options(unlimited);
        let observer = PgPool::connect(&database.url).await.unwrap();
        connected(&pool, connections).await;
        Self {
            pool,
            link,
            observer,
        }
    }

    /// How many of the pool's connections are in the middle of a statement.
    async fn busy(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = 'abandoned' AND state <> 'idle'",
        )
        .fetch_one(&self.observer)
        .await
        .unwrap()
    }

    async fn until_busy(&self, statements: i64) {
        eventually(&format!("{statements} statements at work"), || async move {
            self.busy().await == statements
        })
        .await;
    }

    /// Starts `work`, and drops it when its statement is seen at work.
    async fn abandon(&self, work: impl Future<Output = sqlx::Result<()>>) {
        tokio::select! {
            ended = work => panic!("it must not end: {ended:?}"),
            () = self.until_busy(1) => {}
        }
    }

    /// All connections of the pool can be had at the same time.
    async fn pool_is_whole(&self, connections: usize) {
        let held: Vec<_> = (0..connections).map(|_| self.pool.acquire()).collect();
        for connection in futures::future::join_all(held).await {
            sqlx::query("SELECT 1")
                .execute(&mut *connection.unwrap())
                .await
                .unwrap();
        }
    }

    async fn backend(&self) -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    async fn slow(&self) -> sqlx::Result<()> {
        sqlx::query(SLOW).execute(&self.pool).await.map(|_| ())
    }
}

#[tokio::test]
async fn a_dropped_statement_is_cancelled_and_the_pool_is_whole_again() {
    // Without a recorder nothing is counted, and it may be the first test that needs one.
    chassis::metrics::install();
    let world = World::new(2).await;
    for _ in 0..3 {
        tokio::select! {
            ended = futures::future::join(world.slow(), world.slow()) => panic!("{ended:?}"),
            () = world.until_busy(2) => {}
        }
        world.until_busy(0).await;
        world.pool_is_whole(2).await;
    }
    assert!(
        chassis::metrics::render()
            .contains(r#"db_statements_cancelled_total{service="abandoned"}"#)
    );
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_in_the_middle_of_its_statement() {
    let world = World::new(1).await;
    for sql in [
        "CREATE TABLE things (id bigint PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
    ] {
        sqlx::query(sql).execute(&world.observer).await.unwrap();
    }
    let lock = async |pool: &PgPool| {
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT * FROM things FOR UPDATE")
            .execute(&mut *tx)
            .await?;
        sqlx::query(SLOW).execute(&mut *tx).await?;
        tx.commit().await
    };
    let work = lock(&world.pool);
    tokio::select! {
        ended = work => panic!("{ended:?}"),
        () = eventually("it sleeps with its lock", || async {
            let sleeping: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event = 'PgSleep'",
            )
            .fetch_one(&world.observer)
            .await
            .unwrap();
            sleeping == 1
        }) => {}
    }
    // Waits for the lock, for as long as it is held.
    let locked = sqlx::query("SELECT * FROM things FOR UPDATE").execute(&world.observer);
    tokio::time::timeout(PATIENCE, locked)
        .await
        .expect("the lock is free")
        .unwrap();
    world.pool_is_whole(1).await;
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_is_cancelled_too() {
    let world = World::new(1).await;
    sqlx::query("CREATE TABLE things (id bigint)")
        .execute(&world.observer)
        .await
        .unwrap();
    let mut holder = world.observer.begin().await.unwrap();
    sqlx::query("LOCK TABLE things")
        .execute(&mut *holder)
        .await
        .unwrap();
    let waiting = async {
        sqlx::query("SELECT * FROM things")
            .execute(&world.pool)
            .await
            .map(|_| ())
    };
    world.abandon(waiting).await;
    world.until_busy(0).await;
    holder.rollback().await.unwrap();
    world.pool_is_whole(1).await;
}

/// Whether it holds at least once of a few times: a machine may be too busy to answer within the time of
/// grace, but not always, and what always closes the connection never gets through.
async fn once_of_ten<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..10 {
        if holds().await {
            return;
        }
    }
    panic!("not once: {what}");
}

#[tokio::test]
async fn statements_that_end_by_themselves_cost_no_connection() {
    let world = World::new(1).await;
    sqlx::query("CREATE TABLE things (id bigint PRIMARY KEY)")
        .execute(&world.pool)
        .await
        .unwrap();
    once_of_ten("after an error", || async {
        let before = world.backend().await;
        sqlx::query("INSERT INTO things VALUES (1), (1)")
            .execute(&world.pool)
            .await
            .unwrap_err();
        world.backend().await == before
    })
    .await;
    once_of_ten(
        "after a transaction that failed and was dropped",
        || async {
            let before = world.backend().await;
            let mut tx = world.pool.begin().await.unwrap();
            sqlx::query("INSERT INTO things VALUES (1), (1)")
                .execute(&mut *tx)
                .await
                .unwrap_err();
            drop(tx);
            world.backend().await == before
        },
    )
    .await;
    for (what, sql) in [
        (
            "after a short statement was dropped",
            "SELECT pg_sleep(0.05)",
        ),
        (
            "after a short statement was dropped and then failed",
            "SELECT pg_sleep(0.05); SELECT 1 / 0",
        ),
    ] {
        once_of_ten(what, || async {
            let before = world.backend().await;
            tokio::select! {
                _ = sqlx::raw_sql(sql).execute(&world.pool) => return false,
                () = world.until_busy(1) => {}
            }
            world.backend().await == before
        })
        .await;
    }
}

#[tokio::test]
async fn a_process_that_dies_takes_its_statements_with_it() {
    let world = World::new(1).await;
    let slow = {
        let pool = world.pool.clone();
        tokio::spawn(async move { sqlx::query(SLOW).execute(&pool).await })
    };
    world.until_busy(1).await;
    // All that the server sees of a `kill -9`: the connection closes.
    world.link.cut();
    world.until_busy(0).await;
    assert!(db::is_unavailable(&slow.await.unwrap().unwrap_err()));
}
