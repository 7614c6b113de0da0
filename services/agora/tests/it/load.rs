//! `agora load`: orders at a pace, and what came of them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, mpsc};

use parking_lot::{Condvar, Mutex};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Builder;

use crate::support::{Market, PATIENCE, Place, agora, agora_with_files, assert_line, kill, run};

fn load(arguments: &[&str]) -> (i32, Value, String) {
    let all: Vec<_> = ["load", "--json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let (code, out, err) = run(agora(&all));
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

#[test]
fn an_open_loop_sends_what_is_due_and_a_closed_one_what_it_can() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let data = place.data();
    let data = data.to_str().expect("text");
    let here = ["--data-dir", data, "--time", "2s", "--until-mailed"];

    let open = ["--rate", "20", "--give-back", "--flow"];
    let (code, open, err) = load(&[&here[..], &open].concat());
    assert_eq!(code, 0, "{open} {err}");
    assert_eq!(open["sent"], 40, "{open}");
    // A busy machine may refuse some; each is counted.
    let accepted = open["accepted"].as_u64().expect("a number");
    let errors = open["errors"].as_object().expect("errors by their kind");
    let refused = errors.values().filter_map(Value::as_u64).sum::<u64>();
    assert!(accepted > 0 && accepted + refused == 40, "{open}");
    assert_eq!(open["given_back"], accepted, "{open}");
    assert_eq!(open["mails"]["sent"], accepted, "{open}");
    assert_eq!(open["phase"], "over");
    let at = |quantile: &str| open["latency_ms"][quantile].as_f64().expect(quantile);
    assert!(0.0 < at("p50") && at("p50") <= at("p99") && at("p99") <= at("max"));

    // The whole way of some, each of them until its mail.
    let flow = &open["flow"];
    assert!(flow["followed"].as_u64() > Some(0), "{open}");
    assert_eq!(
        (&flow["mailed"], &flow["lost"]),
        (&flow["followed"], &json!(0)),
        "{open}"
    );
    let p99 = |of: &str| flow[of]["p99"].as_f64().expect(of);
    assert!(p99("decided_ms") > 0.0 && p99("mailed_ms") > 0.0, "{open}");

    let closed = ["--callers", "4", "--beside-pgbench"];
    let (code, closed, err) = load(&[&here[..], &closed].concat());
    assert_eq!(code, 0, "{closed} {err}");
    assert!(closed["accepted"].as_u64() > Some(4), "{closed}");
    assert_eq!(closed["accepted"], closed["sent"]);
    assert_eq!(closed["mails"]["sent"], closed["accepted"]);
    for of in ["process_ms", "database_ms"] {
        // As the kernel counts it, where it does.
        let ms = closed["cpu_of_an_order"][of].as_f64();
        assert!(ms.is_none_or(|ms| ms > 0.0), "{closed}");
        assert!(ms.is_some() || !cfg!(target_os = "linux"), "{closed}");
    }
    assert!(
        closed["pgbench_per_second"].as_f64() > Some(0.0),
        "{closed}"
    );
    assert_eq!(of_pgbench(&market), 0, "its rows are taken away again");
    // How far it is, beside the outcome.
    assert!(err.contains("accepted"), "{err}");
    market.stop();
}

/// Orders of nobody who ever clicked, and their events.
fn of_pgbench(market: &Market) -> i64 {
    const LEFT: &str = "SELECT (SELECT count(*) FROM outbox WHERE lane = 1000)
         + (SELECT count(*) FROM orders WHERE ask_again_at > now() + interval '12 hours')
         + (SELECT count(*) FROM order_changes WHERE order_id NOT IN (SELECT id FROM orders))";
    let orders = market.endpoints["databases"]["orders"].as_str();
    let orders = orders.expect("a URL");
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut database = PgConnection::connect(orders).await.expect("orders");
        let left = sqlx::query_scalar(LEFT).fetch_one(&mut database).await;
        left.expect("a count")
    })
}

#[test]
fn what_is_not_accepted_is_counted_by_its_kind() {
    let url = format!("http://{}", shop_that_is_full());
    let (code, seen, err) = load(&["--url", &url, "--rate", "10", "--time", "1s"]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(seen["sent"], 10, "{seen}");
    assert_eq!(
        (&seen["accepted"], &seen["errors"]),
        (&json!(0), &json!({"503": 10}))
    );
    assert_eq!(seen["latency_ms"], Value::Null);
    assert!(seen["refused_ms"]["p99"].is_number(), "{seen}");
    assert!(
        err.lines()
            .last()
            .unwrap_or_default()
            .contains("no order was accepted"),
        "{err}"
    );
}

#[test]
fn another_machine_is_not_loaded_unless_somebody_says_so() {
    for (arguments, named) in [
        (&["--url", "http://shop.example"][..], "shop.example"),
        (&["--url", "http://10.0.0.1:8080"][..], "10.0.0.1"),
        (
            &[
                "--url",
                "http://127.0.0.1:1",
                "--until-mailed",
                "--mails",
                "http://mails.example",
            ][..],
            "mails.example",
        ),
    ] {
        let (code, _, err) = load(arguments);
        assert_eq!(code, 2, "{err}");
        assert_line(&err, &[named, "--anywhere"]);
    }
    // Nobody is there: asked, and no answer.
    let (code, _, err) = load(&["--url", "http://127.0.0.1:1", "--anywhere"]);
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = load(&["--url", "http://127.0.0.1:1", "--until-mailed"]);
    assert_eq!(code, 2, "{err}");
    assert_line(&err, &["--mails"]);
}

#[test]
fn what_is_refused_at_first_is_given_back_and_what_cannot_be_is_asked_for_once() {
    const REFUSED: usize = 6;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let shop = shop(move |path| {
        let mut asked = noted.lock();
        let before = times(&asked, path);
        asked.push(path.to_owned());
        match path {
            "/api/orders" => ("201 Created", json!({"id": before.to_string()})),
            "/api/orders/0/cancel" => (
                "409 Conflict",
                json!({"title": "It was rejected", "status": 409}),
            ),
            _ if before < REFUSED => full(),
            _ => ("200 OK", json!({})),
        }
    });
    let url = format!("http://{shop}");
    let some = ["--rate", "2", "--time", "1s", "--give-back"];
    let (code, seen, err) = load(&[&["--url", url.as_str()], &some[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        (&seen["accepted"], &seen["given_back"]),
        (&json!(2), &json!(1)),
        "{seen}"
    );
    let asked = asked.lock();
    assert_eq!(times(&asked, "/api/orders/0/cancel"), 1);
    assert_eq!(times(&asked, "/api/orders/1/cancel"), REFUSED + 1);
}

#[test]
fn what_was_bought_is_given_back_also_where_mails_cannot_be_counted() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let shop = shop(move |path| {
        let mut asked = noted.lock();
        let before = times(&asked, path);
        asked.push(path.to_owned());
        match path {
            "/api/orders" => ("201 Created", json!({"id": before.to_string()})),
            "/metrics" if before > 0 => full(),
            _ => ("200 OK", json!({})),
        }
    });
    let url = format!("http://{shop}");
    let here = ["--url", url.as_str(), "--mails", url.as_str()];
    let some = [
        "--rate",
        "2",
        "--time",
        "1s",
        "--give-back",
        "--until-mailed",
        "--flow",
    ];
    let (code, seen, err) = load(&[&here[..], &some[..]].concat());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("mails cannot be counted"), "{err}");
    assert_eq!(seen["accepted"], 2, "its figures are told: {seen}");
    assert!(seen["flow"].is_object(), "those of the flow, too: {seen}");
    let asked = asked.lock();
    assert_eq!(times(&asked, "/api/orders/0/cancel"), 1);
    assert_eq!(times(&asked, "/api/orders/1/cancel"), 1);
}

/// Whoever stops waiting for mails gets the figures that there are.
#[test]
fn a_wait_for_mails_that_is_ended_drops_no_other_figures() {
    let (asked, heard) = mpsc::channel();
    let shop = shop(move |path| match path {
        "/api/orders" => ("201 Created", json!({"id": "0"})),
        "/metrics" => {
            // After the second time nobody listens.
            let _ = asked.send(());
            ("200 OK", json!({}))
        }
        _ => ("200 OK", json!({})),
    });
    let url = format!("http://{shop}");
    let some = ["load", "--json", "--rate", "1", "--time", "1s"];
    let mut command = agora(&some);
    command.args(["--until-mailed", "--flow", "--url", &url, "--mails", &url]);
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pipes.spawn().expect("a load");
    // Before the orders, and after them.
    for _ in 0..2 {
        heard.recv_timeout(PATIENCE).expect("mails to be counted");
    }
    kill(child.id(), Signal::INT);
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let seen: Value = serde_json::from_slice(&ended.stdout).expect("what was seen");
    assert_eq!(
        (&seen["accepted"], &seen["mails"]),
        (&json!(1), &Value::Null)
    );
    assert!(seen["flow"].is_object(), "{seen}");
}

/// What is given back is asked for again while it is refused, which may take long.
#[test]
fn giving_back_ends_where_somebody_ends_it() {
    let (asked, heard) = mpsc::channel();
    let shop = shop(move |path| match path {
        "/api/orders" => ("201 Created", json!({"id": "0"})),
        _ => {
            // After the first one nobody listens.
            let _ = asked.send(());
            full()
        }
    });
    let url = format!("http://{shop}");
    let some = ["load", "--give-back", "--rate", "1", "--time", "1s"];
    let mut command = agora(&some);
    command.args(["--url", &url]);
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pipes.spawn().expect("a load");
    heard
        .recv_timeout(PATIENCE)
        .expect("an order to be given back");
    kill(child.id(), Signal::INT);
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let why = String::from_utf8_lossy(&ended.stderr);
    assert!(why.contains("before all orders were given back"), "{why}");
}

/// Shells allow 1024 open files, and an open loop has up to 2,000 calls in flight: what it cannot open would count as the shop's
/// refusals.
#[test]
fn a_shells_limit_of_open_files_refuses_no_orders() {
    const ORDERS: u64 = 100;
    const OPEN_FILES: u32 = 64;
    let (arrived, all_are_there) = (Mutex::new(0_u64), Condvar::new());
    let shop = shop(move |_| {
        let mut arrived = arrived.lock();
        *arrived += 1;
        all_are_there.notify_all();
        all_are_there.wait_while(&mut arrived, |arrived| *arrived < ORDERS);
        ("201 Created", json!({"id": "0"}))
    });
    let url = format!("http://{shop}");
    let all = ["load", "--json", "--rate", "1000", "--time", "100ms"];
    let all = [&all[..], &["--url", url.as_str()]].concat();
    let (code, out, err) = run(agora_with_files(OPEN_FILES, &all));
    assert_eq!(code, 0, "{out} {err}");
    let seen: Value = serde_json::from_str(&out).expect("what was seen");
    assert_eq!(
        (&seen["accepted"], &seen["errors"]),
        (&json!(ORDERS), &json!({})),
        "{seen}"
    );
}

/// How often a path is among those that were asked for.
fn times(asked: &[String], path: &str) -> usize {
    asked.iter().filter(|it| *it == path).count()
}

/// A status and a body.
type Answer = (&'static str, Value);

fn full() -> Answer {
    (
        "503 Service Unavailable",
        json!({"title": "Full", "status": 503}),
    )
}

/// A shop that signs everybody up, has goods, and takes no order.
fn shop_that_is_full() -> SocketAddr {
    shop(|_| full())
}

/// A shop that signs everybody up and has goods; `others` answers for every other path.
fn shop(others: impl Fn(&str) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let others = Arc::new(others);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let others = Arc::clone(&others);
            std::thread::spawn(move || while answer(&connection, &*others).is_some() {});
        }
    });
    address
}

fn answer(mut connection: &TcpStream, others: &dyn Fn(&str) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    std::io::Read::read_exact(&mut reader, &mut vec![0; length]).ok()?;
    let (status, body) = match first.split(' ').nth(1)? {
        path if path.starts_with("/api/products") => (
            "200 OK",
            json!({"products": [{"id": "1", "available": 5}], "next_page_token": ""}),
        ),
        "/api/users" => ("201 Created", json!({"id": "2"})),
        "/api/sessions" => (
            "201 Created",
            json!({"access_token": "t", "expires_in": 900}),
        ),
        path => others(path),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).ok()
}
