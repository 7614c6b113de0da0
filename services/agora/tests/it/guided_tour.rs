//! The tour in the terminal, on a marketplace that runs.

use std::process::{Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Market, Place, agora, kill, run, until};

/// What takes seconds; the whole tour is for `.ci/long`.
const SHORT: [&str; 7] = [
    "purchase", "twice", "hang", "kafka", "stop", "race", "token",
];

#[test]
fn the_tour_happens_in_the_terminal() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let is_long = std::env::var("AGORA_LONG").is_ok_and(|value| value == "1");
    let mut command = agora(&["tour"]);
    if !is_long {
        command.args(SHORT);
    }
    command.arg("--data-dir").arg(place.data());
    let (code, said, why) = run(command);
    assert_eq!(code, 0, "{said}{why}");
    let happened = said.matches("✓ It happened").count();
    assert!(happened >= SHORT.len() && !said.contains('✕'), "{said}");
    // What one was shown can be opened.
    let (_, trace) = said.split_once("(trace ").expect("a trace");
    assert!(
        trace[..32].bytes().all(|b| b.is_ascii_hexdigit()),
        "{trace}"
    );
    market.stop();
}

fn ask(url: &str) -> Value {
    let mut answer = ureq::get(url).call().expect("an answer");
    answer.body_mut().read_json().expect("JSON")
}

/// How often a stop is played that is over before somebody on a busy machine sees what it breaks.
const TRIES: usize = 5;

/// Plays a stop until something holds, and then interrupts it.
fn interrupted(place: &Place, stop: &str, holds: impl Fn() -> bool) -> Output {
    for _ in 0..TRIES {
        let mut command = agora(&["tour", stop, "--data-dir"]);
        command.arg(place.data());
        let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("a tour");
        let is_broken = until("the stop to break something, or its end", || {
            let is_over = child.try_wait().expect("a status").is_some();
            (is_over || holds()).then_some(!is_over)
        });
        if is_broken {
            kill(child.id(), Signal::INT);
        }
        let ended = child.wait_with_output().expect("its end");
        if is_broken && !ended.status.success() {
            return ended;
        }
    }
    panic!("{stop} is never interrupted");
}

#[test]
fn a_tour_that_is_interrupted_mends_and_leaves_what_others_broke() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let admin = market.endpoints["admin"]["gateway"]
        .as_str()
        .expect("a URL");
    let faults = format!("{admin}/faults");
    let rules = || {
        let rules = ask(&faults)["rules"].clone();
        rules.as_array().expect("a list").clone()
    };
    let others =
        json!({"rules": [{"target": "users", "kind": "delay", "delay_ms": 1, "percent": 1}]});
    ureq::put(&faults).send_json(&others).expect("a rule");

    let ended = interrupted(&place, "hang", || rules().len() == 2);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let why = String::from_utf8_lossy(&ended.stderr);
    assert!(why.contains("SIGINT") && why.contains("mended"), "{why}");
    let left = rules();
    assert_eq!((left.len(), &left[0]["target"]), (1, &json!("users")));

    let switches = format!("{}/switches", market.endpoint("switches"));
    let kafka = || {
        let all = ask(&switches)["switches"]
            .as_array()
            .expect("a list")
            .clone();
        let kafka = all.into_iter().find(|switch| switch["name"] == "kafka");
        kafka.expect("kafka")["on"] == true
    };
    let ended = interrupted(&place, "kafka", || !kafka());
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(kafka());
    market.stop();
}

#[test]
fn a_tour_without_a_marketplace_says_what_to_start() {
    let place = Place::new();
    let play = || {
        let mut command = agora(&["tour", "purchase", "--data-dir"]);
        command.arg(place.data());
        run(command)
    };
    let (code, _, why) = play();
    assert_eq!(code, 1);
    assert!(why.contains("agora up"), "{why}");
    // One that was killed has left this.
    let nobody = "http://127.0.0.1:9";
    let endpoints = json!({"gateway": nobody, "observatory": nobody, "switches": nobody});
    std::fs::create_dir_all(place.data()).expect("a directory");
    let file = place.data().join("endpoints.json");
    std::fs::write(file, endpoints.to_string()).expect("a file");
    let (code, _, why) = play();
    assert_eq!(code, 1);
    assert!(why.contains("agora up"), "{why}");

    let (code, list, _) = run(agora(&["tour", "--list"]));
    assert_eq!(code, 0);
    assert!(
        list.lines().count() >= 10 && list.contains("purchase"),
        "{list}"
    );
    let (code, _, why) = run(agora(&["tour", "moon"]));
    assert_eq!(code, 2, "{why}");
}
