//! Work for a caller who has gone ends in the database, too.

use contracts::testing::customer;
use serde_json::json;
use sqlx::Executor;
use uuid::Uuid;

use crate::app::{World, bearer, eventually};

/// How many of the service's statements wait for a lock.
async fn waiting(world: &World) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'orders' AND wait_event_type = 'Lock'
            AND query LIKE '%order_lines%'",
    )
    .fetch_one(&world.db)
    .await
    .unwrap()
}

async fn until_waiting(world: &World, statements: i64) {
    eventually(&format!("{statements} statements wait"), || async {
        (waiting(world).await == statements).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_cancels_its_statement() {
    let world = World::new().await;
    let orders = world
        .serve(&[
            ("--database-max-connections", "4"),
            ("--request-timeout", "10m"),
        ])
        .await;
    let buyer = customer();
    let mut lock = world.db.begin().await.unwrap();
    lock.execute("LOCK TABLE order_lines").await.unwrap();
    let path = format!("/v1/orders/{}", Uuid::now_v7());
    for _ in 0..2 {
        tokio::select! {
            answer = orders.get(&buyer, &path) => panic!("{answer:?}"),
            () = until_waiting(&world, 1) => {}
        }
        until_waiting(&world, 0).await;
    }
    lock.rollback().await.unwrap();
    orders.get(&buyer, &path).await.assert_problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_cancels_its_statement() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let buyer = customer();
    let mut lock = world.db.begin().await.unwrap();
    lock.execute("LOCK TABLE order_lines").await.unwrap();
    let path = format!("/v1/orders/{}", Uuid::now_v7());
    let headers = [
        ("authorization", &*bearer(&buyer)),
        ("x-request-timeout-ms", "500"),
    ];
    let answer = orders.send("GET", &path, &headers, "").await;
    answer.assert_problem(504);
    assert_eq!(answer.json()["type"], json!("/problems/deadline-exceeded"));
    until_waiting(&world, 0).await;
    lock.rollback().await.unwrap();
}
