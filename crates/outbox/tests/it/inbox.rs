//! The inbox: delivered twice, done once.

use std::time::Duration;

use outbox::inbox::{Receipt, accept, accept_all, purge};
use uuid::Uuid;

use crate::fixture::{Service, eventually};

#[tokio::test]
async fn the_second_time_is_a_duplicate() {
    let service = Service::start().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(accept(&mut tx, "stock", one).await.unwrap(), Receipt::First);
    assert_eq!(
        accept(&mut tx, "stock", one).await.unwrap(),
        Receipt::Duplicate
    );
    tx.commit().await.unwrap();

    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", one).await.unwrap(),
        Receipt::Duplicate
    );
    assert_eq!(
        accept(&mut tx, "stock", other).await.unwrap(),
        Receipt::First,
        "another event"
    );
    assert_eq!(
        accept(&mut tx, "mail", one).await.unwrap(),
        Receipt::First,
        "another consumer"
    );
}

#[tokio::test]
async fn of_many_at_once_those_that_are_new_are_told() {
    let service = Service::start().await;
    let [known, new, twice] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", known).await.unwrap(),
        Receipt::First
    );
    let first = accept_all(&mut tx, "stock", &[twice, known, new, twice])
        .await
        .unwrap();
    assert_eq!(first, [new, twice].into());
    assert!(accept_all(&mut tx, "stock", &[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();

    let mut tx = service.pool.begin().await.unwrap();
    let again = accept_all(&mut tx, "stock", &[new, twice]).await.unwrap();
    assert!(again.is_empty());
    let other = accept_all(&mut tx, "mail", &[new]).await.unwrap();
    assert_eq!(other, [new].into(), "another consumer");
}

#[tokio::test]
async fn an_effect_that_was_rolled_back_may_happen_again() {
    let service = Service::start().await;
    let event = Uuid::now_v7();
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", event).await.unwrap(),
        Receipt::First
    );
    tx.rollback().await.unwrap();
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", event).await.unwrap(),
        Receipt::First
    );
}

/// Sixteen deliveries of one event at the same moment, each with an effect: one effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_the_same_time_one_is_first() {
    let service = Service::start().await;
    sqlx::query("CREATE TABLE effect (event_id uuid)")
        .execute(&service.pool)
        .await
        .unwrap();
    for _ in 0..10 {
        let event = Uuid::now_v7();
        let deliveries: Vec<_> = (0..16)
            .map(|_| {
                let pool = service.pool.clone();
                tokio::spawn(async move {
                    let mut tx = pool.begin().await.unwrap();
                    let receipt = accept(&mut tx, "stock", event).await.unwrap();
                    if receipt == Receipt::First {
                        sqlx::query("INSERT INTO effect VALUES ($1)")
                            .bind(event)
                            .execute(&mut *tx)
                            .await
                            .unwrap();
                    }
                    tx.commit().await.unwrap();
                    receipt
                })
            })
            .collect();
        let mut first = 0;
        for delivery in deliveries {
            first += usize::from(delivery.await.unwrap() == Receipt::First);
        }
        let effects: i64 = sqlx::query_scalar("SELECT count(*) FROM effect WHERE event_id = $1")
            .bind(event)
            .fetch_one(&service.pool)
            .await
            .unwrap();
        assert_eq!((first, effects), (1, 1));
    }
}

/// The second waits for the first: if that one fails, its effect is still to be made, by the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_waits_for_the_end_of_the_first() {
    let service = Service::start().await;
    let event = Uuid::now_v7();
    let mut first = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut first, "stock", event).await.unwrap(),
        Receipt::First
    );
    let pool = service.pool.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        accept(&mut tx, "stock", event).await.unwrap()
    });
    eventually("the second to wait for the first", || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&service.pool)
        .await
        .unwrap();
        waiting == 1
    })
    .await;
    first.rollback().await.unwrap();
    assert_eq!(second.await.unwrap(), Receipt::First);
}

#[tokio::test]
async fn purge_forgets_what_is_old_and_only_that() {
    let service = Service::start().await;
    sqlx::query(
        "INSERT INTO inbox SELECT 'stock', gen_random_uuid(), now() - interval '8 days' FROM generate_series(1, 25000)",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    let recent = Uuid::now_v7();
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", recent).await.unwrap(),
        Receipt::First
    );
    tx.commit().await.unwrap();
    assert_eq!(
        purge(&service.pool, Duration::from_secs(7 * 86_400))
            .await
            .unwrap(),
        25_000
    );
    let mut tx = service.pool.begin().await.unwrap();
    assert_eq!(
        accept(&mut tx, "stock", recent).await.unwrap(),
        Receipt::Duplicate
    );
}
