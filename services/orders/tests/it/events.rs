//! `GET /v1/orders/{id}/events`: an order's changes as they happen.

use std::time::Duration;

use client::{Address, ClientConfig, Peer};
use contracts::clients::Orders;
use contracts::rest::OrderStatus;
use contracts::rest::v2::Reason;
use contracts::testing::{Someone, admin, customer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{PATIENCE, Service, World, bearer, eventually};
use crate::stream::{Event, Events};

/// A cancel window that is over at once, with little time for a cancel that is on its way: a confirmed order is soon final.
/// It is also the time in which a busy machine has to take an order.
const NO_WINDOW: [(&str, &str); 2] = [("--cancel-window", "0"), ("--request-timeout", "3s")];

fn path(order_id: Uuid) -> String {
    format!("/v1/orders/{order_id}/events")
}

async fn watch(orders: &Service, who: &Someone, order_id: Uuid) -> Events {
    watch_after(orders, who, order_id, None).await
}

async fn watch_after(
    orders: &Service,
    who: &Someone,
    order_id: Uuid,
    last_event_id: Option<&str>,
) -> Events {
    let bearer = bearer(who);
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(last_event_id.map(|id| ("last-event-id", id)));
    orders.stream(&path(order_id), &headers).await
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_all_from_the_beginning_to_the_end() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let mut events = watch(&orders, &buyer, order_id).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.header("cache-control"), "no-cache");

    let placed = events.next().await.unwrap();
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(
        (placed.id.as_str(), placed.event.as_str()),
        ("1", "pending")
    );
    assert_eq!(
        placed.data,
        json!({"order_id": order_id, "sequence": 1, "status": "pending", "changed_at": order["created_at"]})
    );
    world.broker.rejected(order_id, "2 of 3 lamps left").await;
    let rejected = events.next().await.unwrap();
    assert_eq!(
        (rejected.id.as_str(), rejected.event.as_str()),
        ("2", "rejected")
    );
    assert_eq!(rejected.data["reason"], "2 of 3 lamps left");
    assert_eq!(
        rejected.data["changed_at"],
        orders.order(&buyer, order_id).await["updated_at"]
    );
    assert_eq!(events.next().await, None, "nothing can follow");
    assert_eq!(events.retry(), Some("1000"));

    // Later it is the same, and over at once.
    let again = watch(&orders, &admin(), order_id).await.rest().await;
    assert_eq!(again, [placed, rejected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_is_watched_until_it_can_be_cancelled_no_more() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let events = watch(&orders, &buyer, order_id).await;
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    let cancel = format!("/v1/orders/{order_id}/cancel");
    assert_eq!(orders.call(&buyer, "POST", &cancel).await.status, 200);
    let seen = events.rest().await;
    let names: Vec<_> = seen.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["pending", "confirmed", "cancelled"]);
    assert_eq!(ids(&seen), ["1", "2", "3"]);

    // Where the window closes, that is the end.
    let orders = world.serve(&NO_WINDOW).await;
    let order_id = orders.place(&buyer, lamp, 1).await;
    let events = watch(&orders, &buyer, order_id).await;
    world.broker.reserved(order_id).await;
    assert_eq!(ids(&events.rest().await), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_where_it_stopped() {
    let world = World::new().await;
    let orders = world.serve(&NO_WINDOW).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let mut events = watch_after(&orders, &buyer, order_id, Some("1")).await;
    world.broker.reserved(order_id).await;
    assert_eq!(events.next().await.unwrap().id, "2");
    assert_eq!(events.next().await, None);

    let seen_all = watch_after(&orders, &buyer, order_id, Some("2")).await;
    assert_eq!(seen_all.status(), 204, "a browser stops asking");
    for bad in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let headers = [
            ("authorization", bearer(&buyer)),
            ("last-event-id", bad.into()),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = orders.send("GET", &path(order_id), &headers, "").await;
        answer.assert_problem(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_s_order_is_not_there() {
    let world = World::new().await;
    let orders = world.serve(&[("--max-streams-per-user", "1")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let stranger = customer();
    // Twice: who is refused keeps no place.
    for id in [order_id, Uuid::now_v7()] {
        orders.get(&stranger, &path(id)).await.assert_problem(404);
    }
    let nonsense = orders.get(&stranger, "/v1/orders/17/events").await;
    nonsense.assert_problem(404);
    let nobody = orders.send("GET", &path(order_id), &[], "").await;
    nobody.assert_problem(401);
}

/// Each replica has its own readers; the change is made by the other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_one_replica_is_seen_at_the_other() {
    let world = World::new().await;
    let (here, there) = (world.serve(&[]).await, world.serve(&[]).await);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = here.place(&buyer, lamp, 1).await;
    let mut events = [
        watch(&here, &buyer, order_id).await,
        watch(&there, &buyer, order_id).await,
    ];
    for events in &mut events {
        assert_eq!(events.next().await.unwrap().event, "pending");
    }
    // What a newer version makes of another order keeps nobody from this one.
    let newer = here.place(&buyer, lamp, 1).await;
    let _watched = watch(&there, &buyer, newer).await;
    sqlx::query("INSERT INTO order_changes VALUES ($1, 2, 'shipped', NULL, now())")
        .bind(newer)
        .execute(&world.db)
        .await
        .unwrap();
    let cancelled = here
        .call(&buyer, "DELETE", &format!("/v1/orders/{order_id}"))
        .await;
    assert_eq!(cancelled.status, 200);
    for events in events {
        let rest = events.rest().await;
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(rest[0].event, "cancelled");
    }
}

/// A port for a replica that starts later: below those that Linux (from 32,768 on) and others (from 49,152 on) give out by
/// themselves, so that no other test gets it meanwhile.
fn port_for_later() -> u16 {
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    let somewhere = Uuid::new_v4().as_u128() % PORTS.len() as u128;
    let first = PORTS.start + u16::try_from(somewhere).unwrap();
    let mut ports = (first..PORTS.end).chain(PORTS.start..first);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).unwrap()
}

/// The client that other services use: the replica that it reads from stops, and another one is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_typed_stream_goes_on_at_another_replica() {
    let world = World::new().await;
    let old = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = old.place(&buyer, lamp, 1).await;
    let later = port_for_later();
    let both = format!("{},http://127.0.0.1:{later}", old.url());
    let both: Address = both.parse().unwrap();
    let config: ClientConfig = "deadline=20s,attempt=10s".parse().unwrap();
    let client = Orders::new(Peer::new("orders", both, config)).v2();

    let mut changes = client.events(&buyer.token, order_id, None).await.unwrap();
    let first = changes.next().await.unwrap().unwrap();
    assert_eq!((first.order_id, first.sequence), (order_id, 1));
    assert_eq!(first.status, OrderStatus::Pending);
    let _new = world.serve(&[("--http-port", &later.to_string())]).await;
    old.stop().await;

    world.broker.rejected(order_id, "none").await;
    let second = changes.next().await.unwrap().unwrap();
    assert_eq!((second.sequence, second.status), (2, OrderStatus::Rejected));
    assert_eq!(
        second.reason,
        Some(Reason::stock_rejected("none".to_owned()))
    );
    assert!(changes.next().await.is_none());
    let stranger = client.events(&customer().token, order_id, Some(1)).await;
    assert!(stranger.unwrap_err().is_not_found());
}

/// At a deploy a stream ends as if it were over, and its reader goes on at another replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_streams_at_once_and_whole() {
    let world = World::new().await;
    let orders = world.serve(&[("--shutdown-deadline", "30s")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let mut events = watch(&orders, &buyer, order_id).await;
    assert_eq!(events.next().await.unwrap().id, "1");
    let stopping = std::time::Instant::now();
    orders.stop().await;
    assert!(
        stopping.elapsed() < Duration::from_secs(20),
        "nobody is waited for"
    );
    assert_eq!(events.next().await, None, "the end, and no error");

    let orders = world.serve(&NO_WINDOW).await;
    world.broker.reserved(order_id).await;
    let rest = watch_after(&orders, &buyer, order_id, Some("1"))
        .await
        .rest()
        .await;
    assert_eq!(ids(&rest), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_shows_that_it_lives() {
    let world = World::new().await;
    let orders = world.serve(&[("--events-heartbeat", "50ms")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let mut events = watch(&orders, &buyer, order_id).await;
    assert_eq!(events.next().await.unwrap().id, "1");
    for _ in 0..3 {
        events.comment().await;
    }
    world.broker.rejected(order_id, "none").await;
    assert_eq!(ids(&events.rest().await), ["2"]);
}

/// What [`readers_are_bounded_in_all_and_each`] answers is in the documents.
#[test]
fn the_documents_say_that_readers_are_bounded() {
    let documents = [orders::document(), orders::document_v2()];
    for (version, document) in ["v1", "v2"].iter().zip(documents) {
        let document = document.unwrap();
        let path = format!("/{version}/orders/{{id}}/events");
        let answers = &document["paths"][path]["get"]["responses"];
        for status in ["429", "503"] {
            assert!(answers.get(status).is_some(), "{version}: {answers}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_bounded_in_all_and_each() {
    let world = World::new().await;
    let bounds = [("--max-streams", "3"), ("--max-streams-per-user", "2")];
    let orders = world.serve(&bounds).await;
    let (ann, bob) = (customer(), customer());
    let lamp = world.catalog.product(100);
    let mut placed = Vec::new();
    for who in [&ann, &bob] {
        placed.push(orders.place(who, lamp, 1).await);
    }
    let of_ann = watch(&orders, &ann, placed[0]).await;
    let _second = watch(&orders, &ann, placed[0]).await;
    let refused = orders.get(&ann, &path(placed[0])).await;
    refused.assert_problem(429);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let _of_bob = watch(&orders, &bob, placed[1]).await;
    let refused = orders.get(&bob, &path(placed[1])).await;
    refused.assert_problem(503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    // Who has gone makes room at once: no heartbeat has to find that out.
    drop(of_ann);
    let again = eventually("a place is free", || async {
        let events = watch(&orders, &bob, placed[1]).await;
        (events.status() == 200).then_some(events)
    })
    .await;
    assert_eq!(again.status(), 200);
}

/// More readers than there are connections to the database, of which one is enough for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn readers_hold_no_connection_to_the_database() {
    let world = World::new().await;
    let orders = world.serve(&[("--database-max-connections", "5")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let mut streams = Vec::new();
    for _ in 0..30 {
        let order_id = orders.place(&buyer, lamp, 1).await;
        streams.push((order_id, watch(&orders, &buyer, order_id).await));
    }
    for (order_id, _) in &streams {
        world.broker.rejected(*order_id, "none").await;
    }
    for (_, events) in streams {
        let names: Vec<_> = events.rest().await.into_iter().map(|e| e.event).collect();
        assert_eq!(names, ["pending", "rejected"]);
    }
}

/// An order that nobody watches costs no statement, and neither does one whose readers have gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_watches_is_not_looked_for() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let looks = || async {
        let scans =
            "SELECT coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'order_changes'";
        let scans: i64 = sqlx::query_scalar(scans)
            .fetch_one(&world.db)
            .await
            .unwrap();
        scans
    };
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    let before = looks().await;

    let mut events = watch(&orders, &buyer, order_id).await;
    assert_eq!(events.next().await.unwrap().id, "1");
    // The statistics of a session are told when it has nothing else to do, so only growth is certain.
    eventually("it is looked for", || async {
        (looks().await > before + 2).then_some(())
    })
    .await;
    drop(events);
    let mut seen = -1;
    let mut since = std::time::Instant::now();
    tokio::time::timeout(PATIENCE, async {
        // Longer than a look and the telling of statistics together.
        while since.elapsed() < Duration::from_secs(4) {
            let now = looks().await;
            if now != seen {
                (seen, since) = (now, std::time::Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("nobody looks any more");
    let value: Value = orders.order(&buyer, order_id).await;
    assert_eq!(value["status"], "confirmed");
}
