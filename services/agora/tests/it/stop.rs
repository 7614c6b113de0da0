//! Stopping: asked to, in a hurry, or because a part is gone.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Market, Place, assert_line, kill, until};

/// The promise of `agora up`, with some air for a busy machine: what is too slow by design is slower.
const STOP_MAX: Duration = Duration::from_secs(5);

#[test]
fn signals_stop_it_within_five_seconds() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let mut market = Market::start(&place);
        let postgres = market.postgres();
        market.signal(signal);
        let (status, took) = market.ended();
        assert_eq!(status.code(), Some(0), "{}", market.output());
        assert!(took < STOP_MAX, "{took:?}");
        assert!(!place.data().join("endpoints.json").exists());
        assert!(!alive(postgres), "PostgreSQL stops too");
        assert!(
            !place.data().join("postgres/data/postmaster.pid").exists(),
            "cleanly"
        );
    }
}

#[test]
fn a_signal_while_it_starts_stops_it() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    let mut child = command.spawn().expect("to start agora");
    // The log is opened before the signals are listened to, so wait for what comes after that.
    until("PostgreSQL to be made", || {
        place.unfinished_cluster().map(drop)
    });
    kill(child.id(), Signal::TERM);
    let status = until("the end of agora", || child.try_wait().expect("a status"));
    assert_eq!(status.code(), Some(0));
    // What is half there does not matter to the next one.
    Market::start(&place).stop();
    assert_eq!(place.unfinished_cluster(), None, "and it is cleared away");
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
