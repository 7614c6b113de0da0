//! Engines that are away for a while.

use std::time::Duration;

use embedded::testing::{Link, Process};

use crate::app::{PATIENCE, TestApp, World, confirmed};

/// The stream stops and comes back: no mail is lost and none is sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let user = app.knows("Ada").await;
    let first = confirmed(user);
    app.publish("order-events", &first).await;
    app.until_mails(1).await;
    let app = app.stop().await.run(None).await;
    // Told again by a broker that has no word of it, and something new.
    app.publish("order-events", &first).await;
    app.confirms(user).await;
    app.until_mails(2).await;
    app.until_idle().await;
    assert_eq!(app.mails().len(), 2);
    app.stop().await;
}

/// A crash in the middle of many: every order has its mail, exactly one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_under_load_loses_no_mail() {
    const ORDERS: usize = 60;
    let mut app = TestApp::start().await;
    let user = app.knows("Ada").await;
    let mut orders = Vec::new();
    for round in 1..=3 {
        for _ in 0..ORDERS / 3 {
            orders.push(app.confirms(user).await);
        }
        app.until_mails(round * ORDERS / 6).await;
        let world = app.crash().await;
        // What dead workers held comes back when its lease runs out; here at once.
        sqlx::query("UPDATE deliveries SET claimed_until = now() WHERE state = 'claimed'")
            .execute(&world.db)
            .await
            .unwrap();
        sqlx::query("UPDATE mq_message SET visible_at = now()")
            .execute(&world.queue_db)
            .await
            .unwrap();
        app = world.run(None).await;
    }
    app.until_mails(ORDERS).await;
    app.until_idle().await;
    let mails = app.mails();
    for order in orders {
        let about = mails
            .iter()
            .filter(|mail| mail.subject().contains(&order.to_string()))
            .count();
        assert_eq!(about, 1, "{order}");
    }
    app.stop().await;
}

/// The database refuses connections while facts arrive: they wait, and are not parked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_wait_for_a_database_that_is_away() {
    let app = TestApp::start().await;
    let user = app.knows("Ada").await;
    app.confirms(user).await;
    app.until_mails(1).await;
    app.until_idle().await;
    let locked = sqlx::query("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE");
    let mut blocker = app.world.db.begin().await.unwrap();
    locked.execute(&mut *blocker).await.unwrap();
    app.confirms(user).await;
    app.until("a fact to wait", || async {
        app.count(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'notifications' AND wait_event_type = 'Lock'",
            &app.world.db,
        )
        .await
            > 0
    })
    .await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'notifications'",
    )
    .execute(&app.world.db)
    .await
    .unwrap();
    blocker.rollback().await.unwrap();
    app.until_mails(2).await;
    app.until_idle().await;
    app.stop().await;
}

/// Attempts to reach what is away: each part of the service makes several in this time.
const ATTEMPTS: usize = 20;

/// Cuts a link until everybody has noticed, and mends it: one line for whoever is on call.
async fn cut_for_a_while(process: &Process, link: &Link, dependency: &str) {
    link.cut();
    let before = link.attempts();
    process.until_dependency_is(dependency, "down").await;
    let tried = async {
        while link.attempts() < before + ATTEMPTS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried)
        .await
        .expect("each part tries");
    link.mend();
    process.until_dependency_is(dependency, "up").await;
    process.assert_one_outage(dependency).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_database_is_one_warning() {
    let mut world = World::new().await;
    let (process, database, _queue) = world.as_process().await;
    cut_for_a_while(&process, &database, "postgres").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_queue_is_one_warning() {
    let mut world = World::new().await;
    let (process, _database, queue) = world.as_process().await;
    cut_for_a_while(&process, &queue, "queue").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_broker_is_one_warning() {
    let mut world = World::new().await;
    let (process, _database, _queue) = world.as_process().await;
    process.until_dependency_is("kafka", "up").await;
    world.kafka.down();
    process.until_dependency_is("kafka", "down").await;
    world.kafka.up();
    process.until_dependency_is("kafka", "up").await;
    process.assert_one_outage("kafka").await;
}
