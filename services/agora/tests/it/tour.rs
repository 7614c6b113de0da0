//! The tour in the terminal, on a marketplace that runs.

use crate::support::{Market, Place, agora, run};

/// What takes seconds; the whole tour is for `.ci/long`.
const SHORT: [&str; 6] = ["purchase", "twice", "kafka", "stop", "race", "token"];

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

#[test]
fn a_tour_without_a_marketplace_says_what_to_start() {
    let place = Place::new();
    let mut command = agora(&["tour", "purchase", "--data-dir"]);
    command.arg(place.data());
    let (code, _, why) = run(command);
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
