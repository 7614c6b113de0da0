//! Orders for the same goods do not wait for each other, and the goods are sold to the last piece all the same.

use std::collections::HashSet;

use embedded::testing::Process;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{PATIENCE, What, cancelled, placed};
use crate::door::text;
use crate::goods::{KETTLE, PAN, RADIO, SORTS};

/// Decides orders for one product while the shelf is locked by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_shelf_holds_up_nobody_who_sells_from_escrow() {
    let app = TestApp::start().await;
    // The first order finds nothing in escrow; it draws for those behind it.
    let first = app.broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(app.broker.answer(first).await, What::Reserved);
    // Not even its key may be wanted.
    let shelf = app.hold("SELECT FROM products FOR UPDATE").await;
    let second = app.broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(app.broker.answer(second).await, What::Reserved);
    shelf.rollback().await.unwrap();
    assert_eq!(app.available(KETTLE).await, 238);
}

/// Takes the limit of time from the statements of each transaction that handles an event. With it, a transaction that waits
/// would begin anew after a while, and let those go on meanwhile that wait for it.
const PATIENT: &str = "
    CREATE FUNCTION be_patient() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('statement_timeout', '0', true);
        RETURN NULL;
    END $$;
    CREATE TRIGGER be_patient AFTER INSERT ON inbox FOR EACH STATEMENT EXECUTE FUNCTION be_patient();";

/// A transaction that has sold all goods and cannot commit yet holds up only the orders of its own partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_for_the_same_goods_do_not_wait_for_each_other() {
    const ORDERS: usize = 48;
    let app = TestApp::with_partitions(12).await;
    let goods = restock(&app, 100_000).await;
    let all: Vec<_> = goods.iter().map(|good| (*good, 1)).collect();
    let first = app.broker.place(&all).await;
    assert_eq!(app.broker.answer(first).await, What::Reserved);

    app.hold(PATIENT).await.commit().await.unwrap();
    // Somebody else writes about the same order: until that ends one way or the other, its transaction has to wait.
    let slow = Uuid::now_v7();
    let mut unfinished = app.db.begin().await.unwrap();
    sqlx::query("INSERT INTO reservations (order_id, status, version) VALUES ($1, 'released', 0)")
        .bind(slow)
        .execute(&mut *unfinished)
        .await
        .unwrap();
    app.broker.publish(&placed(slow, &all)).await;
    app.until_held_in("INSERT INTO reservations").await;

    let orders = join_all((0..ORDERS).map(|_| app.broker.place(&all))).await;
    let mut answers: FuturesUnordered<_> = orders
        .iter()
        .map(|order| app.broker.answer(*order))
        .collect();
    // Those of the same partition are behind the slow one: a twelfth of them, and never half.
    for _ in 0..ORDERS / 2 {
        assert_eq!(answers.next().await, Some(What::Reserved));
    }
    unfinished.rollback().await.unwrap();
    assert_eq!(app.broker.answer(slow).await, What::Reserved);
    while let Some(what) = answers.next().await {
        assert_eq!(what, What::Reserved);
    }
    assert_eq!(app.available(goods[0]).await, 100_000 - 2 - ORDERS as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_in_many_lanes_are_sold_to_the_last_one() {
    let app = TestApp::start().await;
    app.stock(RADIO, 1).await;
    hold_in_escrow(&app, RADIO, 5, 1).await;
    let shown = app.get(&format!("/v1/products/{RADIO}")).await.body;
    assert_eq!(shown["available"], 6);

    let rejected = |reason: &str| What::Rejected(reason.to_owned());
    for (quantity, answer) in [
        (7, rejected("only 6 of Restored Valve Radio left")),
        (1, What::Reserved),
        (3, What::Reserved),
        (3, rejected("only 2 of Restored Valve Radio left")),
        (2, What::Reserved),
        (1, rejected("Restored Valve Radio is sold out")),
    ] {
        let order = app.broker.place(&[(RADIO, quantity)]).await;
        assert_eq!(app.broker.answer(order).await, answer, "{quantity}");
    }
    assert_eq!(app.available(RADIO).await, 0);
}

/// An order that needs what a lane holds is neither reserved nor rejected before it is certain who gets it. Meanwhile it
/// holds nothing of what it found in its own lane.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_somebody_is_about_to_buy_are_waited_for() {
    for is_bought in [true, false] {
        let app = TestApp::start().await;
        app.stock(RADIO, 0).await;
        hold_in_escrow(&app, RADIO, 1, 2).await;
        hold_in_escrow(&app, KETTLE, 1, 1).await;
        let buyer = app
            .hold("UPDATE escrow SET available = 1 WHERE available = 2")
            .await;
        let order = app.broker.place(&[(KETTLE, 1), (RADIO, 2)]).await;
        app.until_held_in("FROM escrow").await;
        let kettles = app
            .hold("SELECT FROM escrow WHERE available = 1 FOR UPDATE NOWAIT")
            .await;
        kettles.rollback().await.unwrap();
        let answer = if is_bought {
            buyer.commit().await.unwrap();
            What::Rejected("only 1 of Restored Valve Radio left".to_owned())
        } else {
            buyer.rollback().await.unwrap();
            What::Reserved
        };
        assert_eq!(app.broker.answer(order).await, answer);
    }
}

/// More orders than pieces, at the same time: as many are reserved as there are pieces, wherever those went meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_piece_is_sold_once_and_none_is_left() {
    const PIECES: i64 = 300;
    const ORDERS: usize = 400;
    let app = TestApp::with_partitions(12).await;
    app.stock(PAN, PIECES).await;
    let orders = join_all((0..ORDERS).map(|_| app.broker.place(&[(PAN, 1)]))).await;
    let mut reserved = 0;
    for order in orders {
        match app.broker.answer(order).await {
            What::Reserved => reserved += 1,
            other => {
                let reason = "Cast-Iron Pan, 26 cm is sold out".to_owned();
                assert_eq!(other, What::Rejected(reason));
            }
        }
    }
    assert_eq!(reserved, PIECES);
    assert_eq!(app.available(PAN).await, 0);
    assert!(lanes(&app, PAN).await > 0, "some pieces were in escrow");
}

/// Two replicas, and orders and cancellations of all goods in any order, until many goods are sold out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_piece_appears_or_vanishes_between_two_replicas() {
    const ORDERS: usize = 800;
    let mut app = TestApp::with_partitions(12).await;
    let replica = app.replica().await;
    until_it_answers(&app, &replica).await;
    let goods = restock(&app, 80).await;
    let (sold, left) = app.books().await;
    let pieces = sold + left;

    let mut dice = dice();
    let (mut orders, mut taken_back) = (Vec::new(), HashSet::new());
    for n in 0..ORDERS {
        let lines: Vec<_> = (0..=dice(4))
            .map(|_| (goods[dice(SORTS)], 1 + dice(4) as u32))
            .collect();
        orders.push(app.broker.place(&lines).await);
        // Batches of orders alone come first, then some with cancellations among them.
        if n >= ORDERS / 2 && dice(3) == 0 {
            let order = orders[n - ORDERS / 2];
            app.broker.publish(&cancelled(order)).await;
            taken_back.insert(order);
        }
    }
    let mut rejected = 0;
    for order in &orders {
        match app.broker.answer(*order).await {
            What::Reserved if taken_back.contains(order) => {
                app.broker.answers_until(*order, What::Released).await;
            }
            What::Reserved => {}
            other => {
                assert!(matches!(other, What::Rejected(_)), "{other:?}");
                rejected += 1;
            }
        }
    }
    assert!((1..ORDERS).contains(&rejected), "{rejected} rejected");
    let (sold, left) = app.books().await;
    assert_eq!(sold + left, pieces);
    assert!(app.broker.dead_letters(0).await.is_empty());
    drop(replica);
    assert_eq!(app.deadlocks().await, 0);
}

/// Puts this many pieces of each product on its shelf. Returns the products.
async fn restock(app: &TestApp, pieces: i64) -> Vec<Uuid> {
    let goods: Vec<Uuid> = sqlx::query_scalar("UPDATE products SET available = $1 RETURNING id")
        .bind(pieces)
        .fetch_all(&app.db)
        .await
        .unwrap();
    assert_eq!(goods.len(), SORTS);
    goods
}

/// Puts this many pieces into each of the first lanes, as busy times leave them there.
async fn hold_in_escrow(app: &TestApp, product_id: Uuid, lanes: i32, pieces: i64) {
    sqlx::query(
        "INSERT INTO escrow SELECT $1::uuid, lane, $3::bigint FROM generate_series(0, $2::int - 1) AS lane",
    )
        .bind(product_id)
        .bind(lanes)
        .bind(pieces)
        .execute(&app.db)
        .await
        .unwrap();
}

/// How many lanes hold a product, or have held it.
async fn lanes(app: &TestApp, product_id: Uuid) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM escrow WHERE product_id = $1")
        .bind(product_id)
        .fetch_one(&app.db)
        .await
        .unwrap()
}

/// Orders until the replica has answered one: then both have partitions.
async fn until_it_answers(app: &TestApp, replica: &Process) {
    let admin = replica.address("admin").await;
    let answered = async {
        while !text(admin, "/metrics")
            .await
            .contains("products_answers_total{")
        {
            let order = app.broker.place(&[(KETTLE, 1)]).await;
            app.broker.answer(order).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("the replica has a part of the work");
}

/// Numbers below a bound, at random and the same in each run (Knuth's MMIX generator).
fn dice() -> impl FnMut(usize) -> usize {
    let mut state: u64 = 39;
    move |sides| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % sides
    }
}
