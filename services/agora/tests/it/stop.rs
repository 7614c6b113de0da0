//! Stopping: asked to, in a hurry, or because a part is gone.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Market, Place, assert_line, kill, status, until};

/// The promise of `agora up`.
const STOP_MAX: Duration = Duration::from_secs(5);
/// What a busy machine may make of it.
const STOP_MAX_BUSY: Duration = Duration::from_secs(30);
/// How often something is tried that a busy machine may be too slow for.
const TRIES: usize = 3;

/// All signals go one way, so one stop in time says that what it waits for is within the promise: what is too slow by design is
/// too slow each time.
#[test]
fn signals_stop_it_within_five_seconds() {
    let mut fastest = STOP_MAX_BUSY;
    for (signal, name) in [
        (Signal::INT, "SIGINT"),
        (Signal::TERM, "SIGTERM"),
        (Signal::HUP, "SIGHUP"),
    ] {
        let place = Place::new();
        let mut market = Market::start_with(&place, place.agora_that_hears_hangups());
        let postgres = market.postgres();
        market.signal(signal);
        let (status, took) = market.ended();
        assert_eq!(status.code(), Some(0), "{}", market.output());
        assert!(took < STOP_MAX_BUSY, "{took:?}");
        fastest = fastest.min(took);
        let output = market.output();
        let said = output.lines().find(|line| line.starts_with("Stopping"));
        let said = said.unwrap_or_else(|| panic!("nothing about the stop: {output}"));
        for part in [name, "finishes what it has begun", "within 5 s", "Ctrl-C"] {
            assert!(said.contains(part), "no {part} in {said}");
        }
        assert!(!place.data().join("endpoints.json").exists());
        assert!(!alive(postgres), "PostgreSQL stops too");
        assert!(
            !place.data().join("postgres/data/postmaster.pid").exists(),
            "cleanly"
        );
    }
    assert!(fastest < STOP_MAX, "{fastest:?}");
}

#[test]
fn a_signal_while_it_starts_stops_it() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    let mut child = command.spawn().expect("to start agora");
    // The log is opened before the signals are listened to, so wait for what comes after that.
    // Who looks late on a busy machine finds it made.
    until("PostgreSQL to be made", || {
        let is_made = place.data().join("postgres").exists();
        (is_made || place.unfinished_cluster().is_some()).then_some(())
    });
    kill(child.id(), Signal::TERM);
    let status = until("the end of agora", || child.try_wait().expect("a status"));
    assert_eq!(status.code(), Some(0));
    // What is half there does not matter to the next one.
    Market::start(&place).stop();
    assert_eq!(place.unfinished_cluster(), None, "and it is cleared away");
}

/// Whoever started it with a pipe, or in a terminal, is gone.
#[test]
fn the_end_of_its_input_stops_it() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command.stdin(Stdio::piped());
    let mut market = Market::start_with(&place, command);
    let mut input = market.input();
    // What is written is nothing that it listens to.
    input.write_all(b"hello\n").expect("to write");
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    drop(input);
    let (ended, _) = market.ended();
    assert_eq!(ended.code(), Some(0), "{}", market.output());
    assert!(
        market.output().contains("Stopping (end of input)"),
        "{}",
        market.output()
    );
}

/// A closed pipe is what programs without a terminal are given.
#[test]
fn an_input_that_was_over_from_the_beginning_stops_nothing() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(writer);
    command.stdin(reader);
    let mut market = Market::start_with(&place, command);
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    market.stop();
    assert!(
        market.output().contains("Stopping (SIGINT)"),
        "{}",
        market.output()
    );
}

/// How long the call takes, in milliseconds: longer than the 0.5 s after which a service is named, shorter than the 2.5 s that the
/// gateway has to finish. There is more air on the first side, since the stop begins some time after the call.
const BUSY_MS: u64 = 1_900;

#[test]
fn a_service_that_is_busy_is_named() {
    let mut told = Vec::new();
    for _ in 0..TRIES {
        // On a busy machine the call may be over before the stop looks, or cut off before it is answered.
        let (output, status) = stop_beside_a_call();
        if output.contains("  gateway is still busy") && status != 0 {
            return;
        }
        told.push((output, status));
    }
    panic!("not named, or cut off: {told:#?}");
}

/// What is said by a stop while the gateway has a call under way, and the status of the call: 0 if it was cut off.
fn stop_beside_a_call() -> (String, u16) {
    let place = Place::new();
    let mut market = Market::start(&place);
    let admin = market.endpoints["admin"]["gateway"]
        .as_str()
        .expect("a URL")
        .to_owned();
    let rules = serde_json::json!({"rules": [{"target": "products", "kind": "delay", "delay_ms": BUSY_MS}]});
    ureq::put(&format!("{admin}/faults"))
        .send_json(&rules)
        .expect("a fault");
    let url = format!("{}/api/products", market.endpoint("gateway"));
    let caller = std::thread::spawn(move || status(&url));
    until("the call to be under way", || {
        let mut answer = ureq::get(&format!("{admin}/faults")).call().ok()?;
        let faults: serde_json::Value = answer.body_mut().read_json().ok()?;
        (faults["rules"][0]["broken"].as_u64()? > 0).then_some(())
    });
    market.signal(Signal::INT);
    let (ended, _) = market.ended();
    assert_eq!(ended.code(), Some(0), "{}", market.output());
    (market.output(), caller.join().expect("no panic"))
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let postgres = market.postgres();
    // A server that does not react keeps the first Ctrl-C waiting.
    kill(postgres, Signal::STOP);
    market.signal(Signal::INT);
    until("the stop to begin", || {
        (!place.data().join("endpoints.json").exists()).then_some(())
    });
    market.signal(Signal::INT);
    let (status, _) = market.ended();
    kill(postgres, Signal::CONT);
    assert_eq!(status.code(), Some(130));
    // And nothing of it is left, or in the way of the next one.
    Market::start(&place).stop();
}

#[test]
fn a_lost_database_stops_all_with_one_line() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let before = market.output().lines().count();
    kill(market.postgres(), Signal::KILL);
    let (status, _) = market.ended();
    assert_eq!(status.code(), Some(1));
    let output = market.output();
    let after: Vec<_> = output.lines().skip(before).collect();
    assert_line(&after.join("\n"), &["PostgreSQL", "server.log"]);
    assert!(!place.data().join("endpoints.json").exists());
}

fn alive(process: u32) -> bool {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("postgres")
}
