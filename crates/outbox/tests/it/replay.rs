//! For a broker that forgets: what was acknowledged lately is sent again at start.

use std::time::Duration;

use outbox::RelayOptions;

use crate::broker::Broker;
use crate::fixture::{NEVER, Service, eventually, queue, topic, woken};

fn keeping(window: Duration) -> RelayOptions {
    RelayOptions {
        replay_window: window,
        ..woken()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_sends_again_and_before_anything_new() {
    let service = Service::start().await;
    let first = Broker::new();
    let relay = service.relay(first.clone(), keeping(NEVER)).await;
    for n in 0..30 {
        service.count(&format!("key-{}", n % 3)).await;
    }
    service.count_to(&[queue()], "job", async {}).await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(first.accepted().len(), 31);
    assert_eq!(service.kept().await, 30, "queues do not forget");

    // Down for long, by the clock: what the broker forgot is not less forgotten.
    sqlx::query("UPDATE outbox SET sent_at = now() - interval '1 year' WHERE sent_at IS NOT NULL")
        .execute(&service.pool)
        .await
        .unwrap();
    for key in 0..3 {
        service.count(&format!("key-{key}")).await;
    }
    let second = Broker::new();
    let relay = service
        .relay(second.clone(), keeping(Duration::from_secs(600)))
        .await;
    service.until_empty().await;
    relay.stop().await;
    for key in 0..3 {
        assert_eq!(
            second.numbers(&format!("key-{key}")),
            (1..=11).collect::<Vec<_>>()
        );
    }
    assert_eq!(second.accepted().len(), 33, "and the job is not done again");
    assert_eq!(service.kept().await, 33);

    let ids = |broker: &Broker| {
        let mut ids: Vec<_> = broker
            .accepted()
            .iter()
            .filter_map(|seen| seen.message.header("ce_id").map(str::to_owned))
            .collect();
        ids.sort();
        ids
    };
    let again = ids(&second);
    let topics: Vec<_> = first
        .accepted()
        .into_iter()
        .filter(|seen| seen.destination == topic().to_string())
        .collect();
    assert!(
        topics.iter().all(|seen| again
            .iter()
            .any(|id| seen.message.header("ce_id") == Some(id))),
        "under the same ids"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_at_the_start_gets_the_replay_later() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), keeping(NEVER)).await;
    service.count("a").await;
    service.count("a").await;
    service.until_empty().await;
    relay.stop().await;

    let broker = Broker::that(|_| async { Err(crate::broker::away()) });
    let relay = service.relay(broker.clone(), keeping(NEVER)).await;
    service.count("a").await;
    broker.tries("the oldest", |seen| seen.len() >= 2).await;
    relay.kill().await;

    let broker = Broker::new();
    let relay = service.relay(broker.clone(), keeping(NEVER)).await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("a"), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service
        .relay(broker.clone(), keeping(Duration::from_millis(100)))
        .await;
    service.count("a").await;
    service.until_empty().await;
    eventually("it to be forgotten", || async { service.kept().await == 0 }).await;
    relay.stop().await;

    let relay = service.relay(broker.clone(), keeping(NEVER)).await;
    service.count("b").await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("a"), [1], "not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_broker_gets_no_replay() {
    let service = Service::start().await;
    let broker = Broker::new();
    for window in [NEVER, Duration::ZERO] {
        let relay = service.relay(broker.clone(), keeping(window)).await;
        service.count("a").await;
        service.until_empty().await;
        relay.stop().await;
    }
    assert_eq!(broker.numbers("a"), [1, 2]);
    assert_eq!(
        service.kept().await,
        0,
        "what was kept for the other broker is gone"
    );
}

/// The pages of the outbox's rows, in the order of their ids.
async fn pages(service: &Service) -> Vec<i32> {
    sqlx::query_scalar("SELECT (ctid::text::point)[0]::integer FROM outbox ORDER BY id")
        .fetch_all(&service.pool)
        .await
        .unwrap()
}

/// What is kept is not written a second time: of a row that stays in its page the log has what changed, and of one that
/// moves to another page it has the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_stays_where_it_was_written() {
    let service = Service::start().await;
    for n in 0..100 {
        service.count(&format!("key-{n}")).await;
    }
    let written = pages(&service).await;
    assert!(written.last() > written.first(), "more than one page");
    let relay = service.relay(Broker::new(), keeping(NEVER)).await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(pages(&service).await, written);
}

/// A database that version 1 of the tables has worked on: an event that it has kept, and one that it has not sent.
pub(crate) const VERSION_1: &str = r#"
    DROP TABLE outbox, outbox_sent;
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lane smallint NOT NULL, destination text NOT NULL,
        key text NOT NULL, headers jsonb NOT NULL, payload bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX outbox_lane_id ON outbox (lane, id);
    COMMENT ON TABLE outbox IS 'transactional outbox, version 1';
    CREATE TABLE outbox_sent (LIKE outbox, sent_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id));
    INSERT INTO outbox (lane, destination, key, headers, payload)
    SELECT 0, 'topic:counts', 'a', '[]', convert_to('{"key":"a","n":' || n || '}', 'UTF8') FROM generate_series(1, 2) AS n;
    WITH gone AS (DELETE FROM outbox WHERE id = 1 RETURNING *) INSERT INTO outbox_sent SELECT * FROM gone;
"#;

/// The one that each event has an entry in, and the one that has an entry for many pages.
const INDEXES: [&str; 2] = ["outbox_pending_lane_id", "outbox_sent_at"];

async fn indexes(service: &Service) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT indexname::text FROM pg_indexes WHERE tablename = 'outbox' ORDER BY 1",
    )
    .fetch_all(&service.pool)
    .await
    .unwrap()
}

/// Tables of version 2 had an index more: each event was written to it, and nobody asked for it but a gauge.
#[tokio::test]
async fn an_event_has_one_entry_in_an_index() {
    let service = Service::start().await;
    assert_eq!(indexes(&service).await, INDEXES);
    sqlx::raw_sql(
        "CREATE UNIQUE INDEX outbox_pending_id ON outbox (id) WHERE sent_at IS NULL;
         COMMENT ON TABLE outbox IS 'transactional outbox, version 2'",
    )
    .execute(&service.pool)
    .await
    .unwrap();
    outbox::install(&service.pool).await.unwrap();
    assert_eq!(indexes(&service).await, INDEXES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_version_1_are_taken_over_with_what_they_hold() {
    let service = Service::start().await;
    sqlx::raw_sql(VERSION_1)
        .execute(&service.pool)
        .await
        .unwrap();
    outbox::install(&service.pool).await.unwrap();
    assert_eq!(indexes(&service).await, INDEXES);
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), keeping(NEVER)).await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("a"), [1, 2]);
    assert_eq!(service.kept().await, 2);
}
