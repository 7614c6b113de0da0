//! The history of an order's statuses: a row for each change, in the transaction of the change.

use chrono::{DateTime, Utc};
use contracts::testing::customer;
use sqlx::Executor as _;
use uuid::Uuid;

use crate::app::{World, wish};

/// Sequence, status and reason of each change.
type History = Vec<(i64, String, Option<String>)>;

async fn history(world: &World, order_id: Uuid) -> History {
    let rows =
        "SELECT sequence, status, reason FROM order_changes WHERE order_id = $1 ORDER BY sequence";
    let rows = sqlx::query_as(rows).bind(order_id).fetch_all(&world.db);
    rows.await.unwrap()
}

fn expected(changes: &[(i64, &str, Option<&str>)]) -> History {
    let owned = |(sequence, status, reason): &(i64, &str, Option<&str>)| {
        (*sequence, (*status).to_owned(), reason.map(str::to_owned))
    };
    changes.iter().map(owned).collect()
}

/// The sequences are those of the events: asking for stock again takes one, and is no change.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_noted_with_the_sequence_of_its_event() {
    let world = World::new().await;
    let orders = world.serve(&[("--saga-deadline", "100ms")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.events(order_id, 2).await;
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    let path = format!("/v1/orders/{order_id}");
    assert_eq!(orders.call(&buyer, "DELETE", &path).await.status, 200);

    let noted = history(&world, order_id).await;
    let statuses: Vec<_> = noted.iter().map(|(_, status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["pending", "confirmed", "cancelled"]);
    assert!(noted[1].0 > 2, "asking again took a sequence: {noted:?}");
    // Events that changed nothing left no row; each row has its event.
    let told = world.broker.events(order_id, 2).await;
    let told: Vec<_> = told
        .iter()
        .filter(|event| event.sequence() == 1 || event.event_type() != "agora.order.placed.v1")
        .map(|event| event.sequence().cast_signed())
        .collect();
    let sequences: Vec<_> = noted.iter().map(|(sequence, ..)| *sequence).collect();
    assert!(sequences.starts_with(&told), "{sequences:?}, {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_that_come_together_are_noted_each() {
    let world = World::new().await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let mut placed = Vec::new();
    {
        let orders = world.serve(&[]).await;
        for _ in 0..20 {
            placed.push(orders.place(&buyer, lamp, 1).await);
        }
        orders.stop().await;
    }
    // Nobody reads these for a while, so the next replica takes them in as a batch.
    for (n, order_id) in placed.iter().enumerate() {
        match n % 2 {
            0 => drop(world.broker.reserved(*order_id).await),
            _ => drop(world.broker.rejected(*order_id, "sold out").await),
        }
    }
    let orders = world.serve(&[]).await;
    for (n, order_id) in placed.iter().enumerate() {
        let (status, reason) = match n % 2 {
            0 => ("confirmed", None),
            _ => ("rejected", Some("sold out")),
        };
        orders.until_status(&buyer, *order_id, status).await;
        let changes = [(1, "pending", None), (2, status, reason)];
        assert_eq!(history(&world, *order_id).await, expected(&changes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_rolled_back_is_not_noted() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.events(order_id, 1).await;
    let hide = "ALTER TABLE outbox RENAME TO hidden";
    world.db.execute(hide).await.unwrap();
    let path = format!("/v1/orders/{order_id}");
    orders
        .call(&buyer, "DELETE", &path)
        .await
        .assert_problem(500);
    let body = wish(&[(lamp, 1)]);
    orders.post_order(&buyer, &body).await.assert_problem(500);
    assert_eq!(world.count("order_changes").await, 1);
}

/// What the schema of this migration is without it.
const BEFORE: &str = "DROP TRIGGER order_placed ON orders; DROP TRIGGER order_changed ON orders;
    DROP FUNCTION note_order_change(); DROP TABLE order_changes;
    DELETE FROM _sqlx_migrations WHERE version = 3";

#[tokio::test(flavor = "multi_thread")]
async fn orders_from_before_get_the_history_that_their_rows_tell() {
    let world = World::new().await;
    world.serve(&[]).await.stop().await;
    world.db.execute(BEFORE).await.unwrap();
    let old = [
        ("pending", 3, None),
        ("confirmed", 4, None),
        ("rejected", 2, Some("sold out")),
        ("cancelled", 2, None),
        // Confirmed before it was cancelled.
        ("cancelled", 5, None),
    ];
    let mut ids = Vec::new();
    for (n, (status, version, reason)) in old.into_iter().enumerate() {
        let id = Uuid::now_v7();
        let confirmed = status == "confirmed" || n == 4;
        let time = |seconds: i64| DateTime::<Utc>::from_timestamp(1_750_000_000 + seconds, 0);
        sqlx::query(
            "INSERT INTO orders (id, user_id, status, reason, total_amount, currency, created_at, updated_at,
                                 confirmed_at, version, asked, ask_again_at)
             VALUES ($1, $2, $3, $4, 100, 'EUR', $5, $6, $7, $8, 1, $9)",
        )
        .bind(id)
        .bind(Uuid::now_v7())
        .bind(status)
        .bind(reason)
        .bind(time(0))
        .bind(time(2))
        .bind(time(1).filter(|_| confirmed))
        .bind(version)
        // Far from due.
        .bind(time(1_000_000_000).filter(|_| status == "pending"))
        .execute(&world.db)
        .await
        .unwrap();
        ids.push(id);
    }

    world.serve(&[]).await.stop().await;
    for (id, changes) in ids.iter().zip([
        &[(1, "pending", None)][..],
        &[(1, "pending", None), (4, "confirmed", None)],
        &[(1, "pending", None), (2, "rejected", Some("sold out"))],
        &[(1, "pending", None), (2, "cancelled", None)],
        &[
            (1, "pending", None),
            (4, "confirmed", None),
            (5, "cancelled", None),
        ],
    ]) {
        assert_eq!(history(&world, *id).await, expected(changes));
    }
    let times = "SELECT changed_at FROM order_changes WHERE order_id = $1 ORDER BY sequence";
    let times: Vec<DateTime<Utc>> = sqlx::query_scalar(times)
        .bind(ids[4])
        .fetch_all(&world.db)
        .await
        .unwrap();
    let seconds: Vec<_> = times
        .iter()
        .map(|time| time.timestamp() - 1_750_000_000)
        .collect();
    assert_eq!(seconds, [0, 1, 2]);
}
