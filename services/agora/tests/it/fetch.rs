//! A machine without PostgreSQL: fetched once, then started without a network. This needs a network, like
//! the build itself.

use std::process::Command;

use crate::support::{Market, Place, status};

#[test]
fn postgres_is_fetched_once_and_then_works_offline() {
    let place = Place::new();
    let mut market = Market::start_with(&place, hidden(&place));
    assert!(
        market.output().contains("Fetching PostgreSQL 17"),
        "{}",
        market.output()
    );
    assert!(
        market.output().contains("PostgreSQL 17."),
        "{}",
        market.output()
    );
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    market.stop();

    let mut offline = hidden(&place);
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        offline.env(proxy, "http://127.0.0.1:1");
    }
    let mut market = Market::start_with(&place, offline);
    assert!(!market.output().contains("Fetching"), "{}", market.output());
    market.stop();

    // The machine's own binaries cannot read what version 17 wrote; the fetched ones are taken again.
    let mut command = place.agora(&["up"]);
    command.arg("--cache-dir").arg(place.path("cache"));
    let mut market = Market::start_with(&place, command);
    assert!(
        market.output().contains("PostgreSQL 17."),
        "{}",
        market.output()
    );
    market.stop();
}

/// As on a machine that has no PostgreSQL.
fn hidden(place: &Place) -> Command {
    let mut command = place.agora(&["up"]);
    command
        .arg("--cache-dir")
        .arg(place.path("cache"))
        .env("AGORA_POSTGRES_SEARCH", "/nonexistent");
    command
}
