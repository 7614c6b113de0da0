//! When the relay looks: at a wake, and now and then by itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use outbox::{Outbox, RelayOptions};
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::broker::{Broker, gated};
use crate::fixture::{NEVER, Relay, Service, count_in, eventually, pool, topic, woken};

/// Nobody polls for an hour, so what arrives was told of: one after the other, each in a new pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_and_sent() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    for n in 1..=50 {
        service.count(&format!("key-{}", n % 7)).await;
        broker.accepts("the event", |seen| seen.len() == n).await;
    }
    relay.stop().await;
}

/// The wake comes while the pass is on its way and has read its rows: it must not be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_in_the_middle_of_a_pass_is_not_lost() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let relay = service.relay(broker.clone(), woken()).await;
    for n in 1..=20 {
        service.count("a").await;
        broker
            .tries("the pass to be on its way", |seen| seen.len() == 2 * n - 1)
            .await;
        service.count("a").await;
        gate.add_permits(2);
        broker.accepts("both", |seen| seen.len() == 2 * n).await;
    }
    relay.stop().await;
}

/// Two processes: one is in the middle of a pass when the other commits for the same lane. The one that
/// was woken finds the lane busy; the one that holds it was not woken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_was_busy_is_looked_at_again() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let mine = service.relay(broker.clone(), woken()).await;
    let other_outbox = Outbox::new();
    let other = Relay::start(
        pool(&service.url, 4).await,
        other_outbox.clone(),
        broker.clone(),
        woken(),
    );
    for n in 1..=10 {
        service.count("a").await;
        broker
            .tries("the pass to be on its way", |seen| seen.len() == 2 * n - 1)
            .await;
        let mut tx = other_outbox.begin(&service.pool).await.unwrap();
        count_in(&mut tx, &[topic()], "a").await;
        tx.commit().await.unwrap();
        gate.add_permits(2);
        broker.accepts("both", |seen| seen.len() == 2 * n).await;
    }
    mine.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_told_of_is_found_by_polling() {
    let service = Service::start().await;
    let broker = Broker::new();
    let options = RelayOptions {
        poll: Duration::from_millis(10),
        ..RelayOptions::default()
    };
    // Another process: nothing that happens here wakes it.
    let relay = Relay::start(
        pool(&service.url, 4).await,
        Outbox::new(),
        broker.clone(),
        options,
    );
    for n in 1..=5 {
        service.count("a").await;
        broker.accepts("the event", |seen| seen.len() == n).await;
    }
    relay.stop().await;
}

/// A relay whose connections wait for the disk at a commit, unless told otherwise, and go by this name.
async fn durable_relay(service: &Service, broker: &Arc<Broker>, poll: Duration) -> Relay {
    let options: PgConnectOptions = service.url.parse().unwrap();
    let options = options
        .application_name("relay")
        .options([("synchronous_commit", "on")]);
    let connections = PgPoolOptions::new().max_connections(4);
    let pool = connections.connect_with(options).await.unwrap();
    let options = RelayOptions {
        poll,
        ..RelayOptions::default()
    };
    Relay::start(pool, service.outbox.clone(), broker.clone(), options)
}

/// Those of a relay with four connections.
const WORKERS: i64 = 2;
/// Counts passes instead of doing them.
const COUNT_PASSES: &str = "
    CREATE SEQUENCE passes;
    DROP FUNCTION outbox_claim_as_stored;
    CREATE FUNCTION outbox_claim_as_stored(integer, smallint[], text[], text[], text[], bigint, bigint)
    RETURNS TABLE (id bigint) LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('passes'); END $$";
/// The looks that sessions of the relay did last.
const LOOKS: &str = "
    SELECT pid, query_start::text FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'relay'
       AND query LIKE 'SELECT outbox_has_rows(%'";

/// Most polls find nothing: they look, and begin no transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_finds_nothing_is_one_statement() {
    let service = Service::start().await;
    sqlx::raw_sql(COUNT_PASSES)
        .execute(&service.pool)
        .await
        .unwrap();
    let relay = durable_relay(&service, &Broker::new(), Duration::from_millis(10)).await;
    let seen = Mutex::new(HashSet::new());
    eventually("ten polls", || async {
        let looks: Vec<(i32, String)> = sqlx::query_as(LOOKS)
            .fetch_all(&service.pool)
            .await
            .unwrap();
        let has_seen_ten = {
            let mut seen = seen.lock();
            seen.extend(looks);
            seen.len() >= 10
        };
        // One of the workers may do all of them before the other has begun.
        has_seen_ten && passes(&service).await >= WORKERS
    })
    .await;
    relay.stop().await;
    assert_eq!(
        passes(&service).await,
        WORKERS,
        "the first one of each worker"
    );
}

async fn passes(service: &Service) -> i64 {
    sqlx::query_scalar("SELECT last_value FROM passes")
        .fetch_one(&service.pool)
        .await
        .unwrap()
}

/// A pass that was not on the disk before a crash is done again, which at-least-once allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_does_not_wait_for_the_disk() {
    let service = Service::start().await;
    sqlx::raw_sql(
        "CREATE TABLE settings (value text);
         CREATE FUNCTION note_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO settings VALUES (current_setting('synchronous_commit'));
             RETURN OLD;
         END $$;
         CREATE TRIGGER noted BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION note_setting()",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    let relay = durable_relay(&service, &Broker::new(), NEVER).await;
    service.count("a").await;
    service.until_empty().await;
    relay.stop().await;
    let settings: Vec<String> = sqlx::query_scalar("SELECT value FROM settings")
        .fetch_all(&service.pool)
        .await
        .unwrap();
    assert_eq!(settings, ["off"]);
}
