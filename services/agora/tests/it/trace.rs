//! `agora trace` beside a marketplace that runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::{Market, Place, agora, run, run_into, unread, until};

/// The last message of a purchase.
const LAST: &str = "email.jobs process";
/// What traces of this test begin with.
const TRACE: &str = "5bf92f3577b34da6a3ce929d";

fn trace(place: &Place, arguments: &[&str]) -> Command {
    let mut command = agora(&["trace"]);
    command.args(arguments);
    command.arg("--data-dir").arg(place.data());
    command
}

/// The demo customer buys something in a trace of this number: the order's id, and the trace's.
fn buy(market: &Market, number: u32) -> (String, String) {
    let shop = market.endpoint("gateway");
    let trace_id = format!("{TRACE}{number:08x}");
    let agent = ureq::Agent::new_with_defaults();
    let who = json!({"email": "demo@agora.example", "password": "shopping-for-olives"});
    let session = agent.post(format!("{shop}/api/sessions")).send_json(who);
    let session: Value = read(session);
    let token = session["access_token"].as_str().expect("a token");
    let goods: Value = read(agent.get(format!("{shop}/api/products")).call());
    let order = json!({"items": [{"product_id": goods["products"][0]["id"], "quantity": 1}]});
    let bought = agent
        .post(format!("{shop}/api/orders"))
        .header("authorization", format!("Bearer {token}"))
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .send_json(order);
    let bought: Value = read(bought);
    (bought["id"].as_str().expect("an id").to_owned(), trace_id)
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut answer = answer.expect("an answer");
    answer.body_mut().read_json().expect("JSON")
}

/// One that follows hops until it is dropped.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("to start agora");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = channel();
        // Ends with the process.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_purchase_is_shown_in_each_form() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let (order, trace_id) = buy(&market, 1);

    let lines = until("the journey of the order", || {
        let (code, said, _) = run(trace(&place, &[&order]));
        (code == 0 && said.contains(LAST)).then_some(said)
    });
    let first = lines.lines().next().expect("a line");
    assert!(first.starts_with(&format!("trace {trace_id}")), "{lines}");
    assert!(lines.contains("place order"), "{lines}");

    let (code, by_id, why) = run(trace(&place, &[&trace_id]));
    assert_eq!(code, 0, "{why}");
    assert!(by_id.starts_with(first), "{by_id}");

    let (code, said, why) = run(trace(&place, &[&order, "--json"]));
    assert_eq!(code, 0, "{why}");
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(shown["trace_id"], trace_id.as_str());
    let hops = shown["hops"].as_array().expect("hops");
    assert!(hops.iter().any(|hop| hop["name"] == LAST), "{said}");

    let (code, diagram, why) = run(trace(&place, &[&order, "--mermaid"]));
    assert_eq!(code, 0, "{why}");
    let begins = diagram.starts_with("sequenceDiagram\n    participant p0 as ");
    assert!(begins && diagram.contains("order-events"), "{diagram}");

    let (code, list, why) = run(trace(&place, &[]));
    assert_eq!(code, 0, "{why}");
    assert!(list.contains(&trace_id), "{list}");

    let (code, _, why) = run_into(trace(&place, &[&order]), unread());
    assert_eq!((code, why.as_str()), (141, ""), "as for `head`");
    // No hop of this trace comes: what ends it is that nobody reads, and no line that could not be printed.
    let nothing = "0".repeat(31) + "1";
    let (code, _, why) = run_into(trace(&place, &[&nothing, "--follow"]), unread());
    assert_eq!(
        (code, why.as_str()),
        (141, ""),
        "it does not wait for a hop"
    );

    let (code, _, why) = run(trace(&place, &[&"0".repeat(31), "--json"]));
    assert_eq!(code, 1, "nothing is known of it: {why}");
    market.stop();
}

#[test]
fn what_cannot_be_asked_for_is_no_marketplace_that_is_missing() {
    let place = Place::new();
    for wrong in [
        &["no id"][..],
        &["--mermaid"],
        &["id", "--mermaid", "--follow"],
    ] {
        let (code, said, why) = run(trace(&place, wrong));
        assert_eq!((code, said.as_str()), (2, ""), "{wrong:?}: {why}");
    }
    // None was there, and one that was killed.
    for left_behind in [false, true] {
        if left_behind {
            std::fs::create_dir_all(place.data()).expect("a directory");
            let endpoints = json!({"observatory": "http://127.0.0.1:9"}).to_string();
            std::fs::write(place.data().join("endpoints.json"), endpoints).expect("a file");
        }
        let (code, said, why) = run(trace(&place, &["--json"]));
        assert_eq!((code, said.as_str()), (1, ""), "{why}");
        assert!(why.contains("agora up"), "{why}");
    }
}

#[test]
fn hops_are_followed_as_they_come() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let following = Following::start(trace(&place, &["--follow"]));
    let records = Following::start(trace(&place, &["--follow", "--json"]));
    // Whoever has not connected yet misses a purchase, and sees the next.
    let mut number = 0;
    let mut seen = (false, false);
    until("both to show a hop of a purchase", || {
        number += 1;
        let _ = buy(&market, number);
        seen.0 |= following.lines.try_iter().any(|line| is_record(&line));
        seen.1 |= records.lines.try_iter().any(|line| is_json(&line));
        (seen == (true, true)).then_some(())
    });
    market.stop();
}

fn is_record(line: &str) -> bool {
    line.starts_with(TRACE) && line.contains('▶')
}

fn is_json(line: &str) -> bool {
    let record: Value = serde_json::from_str(line).unwrap_or_default();
    let trace_id = record["trace_id"].as_str().unwrap_or_default();
    trace_id.starts_with(TRACE) && record["phase"].is_string()
}
