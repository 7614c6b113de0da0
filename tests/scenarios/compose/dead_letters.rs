//! `agora dlq` from outside of the containers, as the account that may look at all dead letters.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use scenarios::compose::Compose;
use scenarios::{embedded, wait};
use serde_json::Value;

/// Who may look at all of them, on every engine.
const OPERATOR: &str = "operator";
/// What nobody's password is. It must not be printed.
const GUESSED: &str = "guessed-password";
/// The longest wait for an answer of the broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// A letter of Kafka's from its first parking to its end, in the hands of the service that parks it.
pub(crate) fn are_looked_at_sent_again_and_dropped(compose: &mut Compose) {
    let id = publish_poison(compose);
    let letter = wait::until("the letter", || list(compose, &id).pop());
    assert_eq!(letter["source"], "order-events");
    assert_eq!(letter["group"], "products");
    assert_eq!(letter["event_type"], "agora.order.placed.v1");
    assert_eq!(letter["redriven"], 0);
    let reason = letter["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "{letter}");

    let shown: Value = serde_json::from_str(&dlq(compose, &["show", &id])).expect("JSON");
    assert_eq!(shown["payload"], "{}");
    assert_eq!(watched(compose, &id), letter);
    let pretended = dlq(compose, &["redrive", "--id", &id, "--dry-run"]);
    assert_eq!(pretended, "1 would be sent again; nothing was.\n");
    let unchanged = list(compose, &id);
    assert_eq!(
        unchanged,
        std::slice::from_ref(&letter),
        "looking changes nothing"
    );

    // It fails as before, and comes back with both reasons.
    assert_eq!(dlq(compose, &["redrive", "--id", &id]), "1 sent again.\n");
    let again = wait::until("the second parking", || {
        list(compose, &id)
            .pop()
            .filter(|letter| letter["redriven"] == 1)
    });
    assert_eq!(again["reasons_before"], Value::from(vec![reason]));
    assert_eq!(again["offset"], letter["offset"], "its first origin");

    let directory = tempfile::tempdir().expect("a directory");
    let kept = directory.path().join("dropped.jsonl");
    let to = kept.to_str().expect("text");
    let dropped = dlq(compose, &["drop", "--id", &id, "--to", to]);
    assert_eq!(dropped, "1 dropped.\n");
    let line = std::fs::read_to_string(&kept).expect("what was kept");
    assert!(line.lines().count() == 1 && line.contains(&id), "{line}");
    assert!(list(compose, &id).is_empty());
    in_rabbitmq(compose);
    a_wrong_account_is_one_line(compose);
}

/// The shop's queues are looked through; which letters they have is not this scenario's.
fn in_rabbitmq(compose: &Compose) {
    let url = compose.rabbitmq(OPERATOR);
    let list = ["dlq", "list", "--json", "--amqp", url.as_str()];
    let output = run(embedded::command(&list));
    assert!(output.status.success(), "{output:?}");
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(listed["dead_letters"].is_array(), "{listed}");
}

fn a_wrong_account_is_one_line(compose: &Compose) {
    let refused = run(as_account(compose, &["list"], OPERATOR, GUESSED));
    let line = one_line(&refused);
    let refusal = "the brokers refuse the user name or password";
    assert!(line.contains(refusal), "{line}");
    let right = compose.rabbitmq(OPERATOR);
    let wrong = right.replace(&format!("{OPERATOR}-dev"), GUESSED);
    assert_ne!(wrong, right);
    one_line(&run(embedded::command(&[
        "dlq",
        "list",
        "--amqp",
        wrong.as_str(),
    ])));
}

/// What a command says that failed.
fn one_line(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains(GUESSED), "{line}");
    line
}

/// Publishes an order that nobody can read, as orders would; returns the event's id.
fn publish_poison(compose: &Compose) -> String {
    let id = uuid::Uuid::now_v7().to_string();
    let attributes = [
        ("ce_specversion", "1.0"),
        ("ce_id", id.as_str()),
        ("ce_source", "/services/orders"),
        ("ce_type", "agora.order.placed.v1"),
        ("ce_subject", id.as_str()),
        ("content-type", "application/json"),
    ];
    let headers = attributes.iter().fold(OwnedHeaders::new(), |all, header| {
        let (key, value) = *header;
        let value = Some(value);
        all.insert(Header { key, value })
    });
    let client = compose.kafka("orders").client();
    let producer: FutureProducer = client.create().expect("a producer");
    let record = FutureRecord::to("order-events").key(&id).payload("{}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let sent = runtime.block_on(producer.send(record.headers(headers), BROKER_TIMEOUT));
    sent.expect("to publish");
    id
}

/// `agora dlq` on Kafka's topics, for this account.
fn as_account(compose: &Compose, arguments: &[&str], account: &str, password: &str) -> Command {
    let brokers = compose.kafka(account).address;
    let mut command = embedded::command(&["dlq"]);
    command
        .args(arguments)
        .args(["--kafka", brokers.as_str()])
        .env("KAFKA_USERNAME", account)
        .env("KAFKA_PASSWORD", password);
    command
}

/// What it prints for the operator.
fn dlq(compose: &Compose, arguments: &[&str]) -> String {
    let password = format!("{OPERATOR}-dev");
    let output = run(as_account(compose, arguments, OPERATOR, &password));
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn list(compose: &Compose, id: &str) -> Vec<Value> {
    let listed = dlq(compose, &["list", "--json", "--id", id]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    listed["dead_letters"].as_array().expect("a list").clone()
}

/// The first letter that `watch` prints.
fn watched(compose: &Compose, id: &str) -> Value {
    let arguments = ["watch", "--json", "--id", id];
    let password = format!("{OPERATOR}-dev");
    let mut command = as_account(compose, &arguments, OPERATOR, &password);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("to start it");
    let out = child.stdout.take().expect("a pipe");
    let (told, tell) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(out).read_line(&mut line);
        // Nobody waits for it any more if it comes too late.
        let _ = told.send(read.map(|_| line));
    });
    let line = tell.recv_timeout(wait::PATIENCE);
    child.kill().expect("that it goes on");
    child.wait().expect("its end");
    let line = line.expect("a line in time").expect("a line");
    serde_json::from_str(&line).expect("JSON")
}

fn run(mut command: Command) -> Output {
    command.output().expect("to start this executable as agora")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}
