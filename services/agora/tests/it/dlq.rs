//! `agora dlq` against a marketplace that runs: looking, sending again, dropping, and what survives a kill.

use std::path::Path;
use std::process::{Command, Stdio};

use contracts::events::{OrderLine, OrderPlaced};
use contracts::topics::ORDER_EVENTS;
use envelope::{Event, KAFKA_PREFIX};
use messaging::kafka::{KafkaConfig, KafkaPublisher, group_queue};
use messaging::pg_queue::PgQueue;
use messaging::{Destination, Message, Publisher as _, dead_letter};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Market, Place, agora, assert_line, run, until};

/// Letters of the redrive that is killed.
const PARKED: usize = 500;

fn dlq(place: &Place, arguments: &[&str]) -> Command {
    let mut command = agora(&["dlq"]);
    command.args(arguments).arg("--data-dir").arg(place.data());
    command
}

/// What is parked now, in a shell with settings for other brokers: the Kafka in memory has neither TLS nor accounts.
fn list(place: &Place) -> Vec<Value> {
    // Read while it prints: it is more than a pipe holds.
    let output = dlq(place, &["list", "--json"])
        .env("KAFKA_CA", "/of/other/brokers.crt")
        .env("KAFKA_USERNAME", "operator")
        .output()
        .expect("its output");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    listed["dead_letters"].as_array().expect("a list").clone()
}

fn placed(product_id: Uuid) -> Event<OrderPlaced> {
    let order_id = Uuid::now_v7();
    let line = OrderLine {
        product_id,
        quantity: 1,
        unit_price: 100,
    };
    let data = OrderPlaced {
        order_id,
        user_id: Uuid::now_v7(),
        items: vec![line],
        total_amount: 100,
        currency: "EUR".to_owned(),
    };
    Event::new(data).with_correlation(order_id)
}

fn message(event: &Event<OrderPlaced>) -> Message {
    let binary = event.to_binary(KAFKA_PREFIX).expect("a message");
    let message = Message::new(binary.body).with_key(event.data.order_id.to_string());
    binary
        .headers
        .into_iter()
        .fold(message, |message, (name, value)| {
            message.with_header(name, value)
        })
}

/// Publishes an event that nobody can read.
async fn publish_poison(market: &Market) -> Uuid {
    let event = placed(Uuid::now_v7());
    let mut poison = message(&event);
    poison.payload = "{}".into();
    let config = KafkaConfig::new(market.endpoint("kafka"), "test");
    let publisher = KafkaPublisher::new(&config).expect("a publisher");
    let sent = publisher.send(ORDER_EVENTS, &poison).await;
    sent.expect("to publish");
    event.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_survives_a_kill_is_sent_again_and_dropped() {
    let place = Place::new();
    let mut market = Market::start(&place);
    assert!(list(&place).is_empty());
    let id = publish_poison(&market).await.to_string();
    let letter = until("the letter", || list(&place).pop());
    assert_eq!(letter["source"], "order-events");
    assert_eq!(letter["group"], "products");
    assert_eq!(letter["event_id"], *id);
    assert_eq!(letter["event_type"], "agora.order.placed.v1");
    assert_eq!(
        (&letter["attempts"], &letter["redriven"]),
        (&1.into(), &0.into())
    );
    assert!(
        letter["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())
    );
    assert_eq!(
        list(&place),
        std::slice::from_ref(&letter),
        "looking changes nothing"
    );

    market.signal(Signal::KILL);
    market.ended();
    let mut market = Market::start(&place);
    assert_eq!(list(&place), std::slice::from_ref(&letter), "it survived");

    let (code, out, _) = run(dlq(&place, &["redrive", "--all", "--dry-run"]));
    assert_eq!(
        (code, out.as_str()),
        (0, "1 would be sent again; nothing was.\n")
    );
    let (code, out, _) = run(dlq(&place, &["redrive", "--id", &id]));
    assert_eq!((code, out.as_str()), (0, "1 sent again.\n"));
    // It fails as before, and says so twice.
    let again = until("the second parking", || list(&place).pop());
    assert_eq!(again["redriven"], 1);
    assert_eq!(
        again["reasons_before"],
        Value::from(vec![letter["reason"].clone()])
    );
    assert_eq!(again["offset"], letter["offset"]);
    let (code, out, _) = run(dlq(&place, &["show", &id]));
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &shown["payload"]), (0, &"{}".into()));

    let kept = place.path("dropped.jsonl");
    let to = kept.to_str().expect("text");
    let (code, out, _) = run(dlq(&place, &["drop", "--group", "products", "--to", to]));
    assert_eq!((code, out.as_str()), (0, "1 dropped.\n"));
    let line = std::fs::read_to_string(&kept).expect("what was kept");
    assert!(line.lines().count() == 1 && line.contains(&id), "{line}");
    assert!(list(&place).is_empty());
    market.stop();
}

/// As a handler that was mended finds them: events that it can handle now.
async fn park(queue: &PgQueue, events: &[Event<OrderPlaced>]) {
    let name = format!("{}.dead", group_queue(ORDER_EVENTS, "products"));
    let to = Destination::Queue(name);
    let sent = events.iter().map(|event| {
        let letter = message(event)
            .with_header(dead_letter::REASON, "a mistake that is mended")
            .with_header(dead_letter::TOPIC, ORDER_EVENTS);
        queue.publish(&to, letter)
    });
    for sent in futures::future::join_all(sent).await {
        sent.expect("to park");
    }
}

/// Kills a redrive when it has sent some again; returns whether it was still at work. Each look is a process of its own: the rate is
/// such that several fit into the time that a redrive takes.
fn redrive_and_kill(place: &Place, parked: usize) -> bool {
    let mut redrive = dlq(place, &["redrive", "--all", "--rate", "40"]);
    let mut child = redrive
        .stdout(Stdio::null())
        .spawn()
        .expect("to start a redrive");
    until("some to be sent again", || {
        (list(place).len() < parked).then_some(())
    });
    let at_work = child.try_wait().expect("a status").is_none();
    child.kill().expect("to kill it");
    child.wait().expect("its end");
    at_work
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_twice_under_traffic_makes_every_effect_once() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let database = |name: &str| {
        market.endpoints["databases"][name]
            .as_str()
            .expect("a URL")
            .to_owned()
    };
    let products = PgPool::connect(&database("products"))
        .await
        .expect("products");
    let queue = PgPool::connect(&database("queue"))
        .await
        .expect("the queue");
    let product: Uuid = sqlx::query_scalar("UPDATE products SET available = 10000 WHERE id = (SELECT min(id::text)::uuid FROM products) RETURNING id")
        .fetch_one(&products)
        .await
        .expect("a product");
    let events: Vec<_> = (0..PARKED).map(|_| placed(product)).collect();
    park(&PgQueue::new(queue), &events).await;
    assert_eq!(list(&place).len(), PARKED);

    // Other orders come meanwhile, on the stream.
    let traffic: Vec<_> = (0..100).map(|_| placed(product)).collect();
    let config = KafkaConfig::new(market.endpoint("kafka"), "test");
    let publisher = KafkaPublisher::new(&config).expect("a publisher");
    let sent = traffic.iter().map(message).collect::<Vec<_>>();
    let sending = tokio::spawn(async move {
        for message in &sent {
            publisher
                .send(ORDER_EVENTS, message)
                .await
                .expect("to publish");
        }
    });
    for _ in 0..2 {
        let parked = list(&place).len();
        assert!(redrive_and_kill(&place, parked), "it was killed at work");
    }
    let (code, _, err) = run(dlq(&place, &["redrive", "--all", "--rate", "0"]));
    assert_eq!(code, 0, "{err}");
    sending.await.expect("the traffic");
    assert!(list(&place).is_empty(), "nothing is unsettled");

    let decided = "SELECT count(*) FROM reservations WHERE order_id = ANY ($1) AND status = 'reserved' AND version = 1";
    let orders: Vec<_> = events
        .iter()
        .chain(&traffic)
        .map(|e| e.data.order_id)
        .collect();
    let count = async || -> i64 {
        let count = sqlx::query_scalar(decided).bind(&orders);
        count.fetch_one(&products).await.expect("a count")
    };
    let all = i64::try_from(orders.len()).expect("a number");
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    while count().await < all {
        assert!(
            std::time::Instant::now() < end,
            "{} of {all}",
            count().await
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let left: i64 = sqlx::query_scalar("SELECT available FROM catalogue WHERE id = $1")
        .bind(product)
        .fetch_one(&products)
        .await
        .expect("the stock");
    assert_eq!(left, 10_000 - all, "each order took one piece");
    assert!(list(&place).is_empty(), "nothing came back");
    market.stop();
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let nowhere = |arguments: &[&str]| {
        let mut command = agora(arguments);
        command.arg("--data-dir").arg(Path::new("/nonexistent"));
        run(command)
    };
    let (code, _, err) = nowhere(&["dlq", "list"]);
    assert_eq!(code, 1);
    assert_line(&err, &["no marketplace runs in /nonexistent", "--database"]);
    let (code, _, err) = run(agora(&[
        "dlq",
        "redrive",
        "--database",
        "postgres://127.0.0.1:1/x",
    ]));
    assert_eq!(code, 2);
    assert_line(&err, &["which letters?", "--all"]);
    // A variable that is not set, and an age that every letter has.
    let drop = ["dlq", "drop", "--to", "/nonexistent/dropped.jsonl"];
    for (condition, value, says) in [
        ("--reason", "", "not blank"),
        ("--source", " ", "not blank"),
        ("--older-than", "0", "which letters?"),
    ] {
        let mut command = agora(&drop);
        command.args([condition, value, "--database", "postgres://127.0.0.1:1/x"]);
        let (code, _, err) = run(command);
        assert_eq!(code, 2, "{condition} {value:?}: {err}");
        assert_line(&err, &[says]);
    }
    let (code, _, err) = run(agora(&["dlq", "list", "--older-than", "soon"]));
    assert_eq!(code, 2);
    assert_line(&err, &["--older-than", "soon", "30s"]);
    let (code, _, err) = run(agora(&[
        "dlq",
        "list",
        "--database",
        "http://a:hunter2@b/x",
    ]));
    assert_eq!(code, 2);
    assert_line(&err, &["--database", "postgres://"]);
    assert!(!err.contains("hunter2"), "{err}");
    let (code, help, _) = run(agora(&["dlq", "--help"]));
    assert_eq!(code, 0);
    for part in [
        "redrive",
        "--kafka",
        "KAFKA_USERNAME",
        "KAFKA_CA",
        "Examples:",
        "Exit code",
    ] {
        assert!(help.contains(part), "no {part} in {help}");
    }
}

/// It is used or refused: the password would go over the wire in the clear. Also where a marketplace runs, whose brokers may be others'.
#[test]
fn what_the_environment_says_of_kafka_is_not_ignored() {
    let place = Place::new();
    std::fs::create_dir_all(place.data()).expect("a directory");
    let running = r#"{"kafka": "127.0.0.1:1", "databases": {"queue": "postgres://127.0.0.1:1/x"}}"#;
    std::fs::write(place.data().join("endpoints.json"), running).expect("a file");
    for (name, value) in [
        ("KAFKA_CA", "/nonexistent/ca.crt"),
        ("KAFKA_USERNAME", "operator"),
    ] {
        let given = agora(&["dlq", "list", "--kafka", "127.0.0.1:1"]);
        for mut command in [given, dlq(&place, &["list"])] {
            command.env(name, value);
            let (code, _, err) = run(command);
            assert_eq!(code, 2, "{name}: {err}");
            assert_line(&err, &[name]);
        }
    }
}

/// Kafka's client waits for a broker to come, for 10 s; the others are refused at once or wait for less.
#[test]
fn an_engine_that_is_away_is_one_line() {
    let away = [
        ["--kafka", "127.0.0.1:1"],
        ["--amqp", "amqp://a:hunter2@127.0.0.1:1/x"],
        ["--database", "postgres://a:hunter2@127.0.0.1:1/x"],
    ];
    std::thread::scope(|scope| {
        for [engine, place] in away {
            scope.spawn(move || {
                let (code, out, err) = run(agora(&["dlq", "list", engine, place]));
                assert_eq!((code, out.as_str()), (1, ""), "{err}");
                assert_line(&err, &[]);
                assert!(!err.contains("hunter2"), "{err}");
            });
        }
    });
}
