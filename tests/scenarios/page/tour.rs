//! The stops of the tour, done by the page.

use std::time::Duration;

use scenarios::browser::Browser;
use scenarios::embedded::Embedded;
use scenarios::{Marketplace, wait};
use serde_json::Value;

use super::{DESK, Provoked, assert_calm_but};

/// Stops of the tour that take seconds; `.ci/long` plays all of them (`AGORA_LONG=1`).
const SHORT_STOPS: [&str; 7] = [
    "purchase", "twice", "kafka", "race", "versions", "token", "poison",
];

/// Until a stop of the tour says what came of it: some of them wait for a minute themselves before they give up.
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// Every stop of the tour does what it says: those that take seconds, or all.
pub(crate) fn happens(market: &mut Embedded) {
    let tour: Value = serde_json::from_str(gateway::TOUR).expect("JSON");
    let all = tour["stops"].as_array().expect("stops").iter();
    let all: Vec<_> = all.filter_map(|stop| stop["id"].as_str()).collect();
    let is_long = std::env::var("AGORA_LONG").is_ok_and(|value| value == "1");
    let browser = Browser::open(&market.endpoint("gateway"), DESK);
    browser.click("#views a[href='#/tour']");
    browser.until_count("agora-tour article", all.len() as u64);
    for stop in all
        .iter()
        .filter(|stop| is_long || SHORT_STOPS.contains(stop))
    {
        browser.until_count(&format!("#stop-{stop} button:enabled"), 1);
        browser.click(&format!("#stop-{stop} button"));
        let said = format!("#stop-{stop} [role=status]:is(.ok, .error)");
        wait::until_within(STOP_PATIENCE, &said, || {
            (browser.count(&said) == 1).then_some(())
        });
        let end = browser.text(&format!("#stop-{stop}"));
        assert!(end.contains("It happened"), "{end}");
        assert_calm_but(&browser, provoked(stop));
    }
    browser.until_count("agora-banner .banner[hidden]", 1);
}

/// What a stop has refused on purpose, or asks for again until it is there.
fn provoked(stop: &str) -> &'static [Provoked] {
    match stop {
        "budget" => &[("/api/products", "5")],
        "kafka" => &[("/observatory/traces/", "404")],
        "stop" => &[("/api/orders/", "5")],
        "token" => &[("/api/users/me", "401")],
        "shedding" => &[("/observatory/switches/load-", "409")],
        _ => &[],
    }
}
