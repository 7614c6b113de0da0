//! `agora bench`: each row yields a figure, or says why not.

use serde_json::Value;

use crate::support::{Place, agora, assert_line, run};

/// Figures that say nothing, as JSON.
fn quick(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, Value, String) {
    let mut command = agora(&["bench", "--quick", "--json"]);
    command.args(arguments).envs(variables.iter().copied());
    let (code, out, err) = run(command);
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

#[test]
fn rows_are_listed() {
    let (code, list, err) = run(agora(&["bench", "--list"]));
    assert_eq!(code, 0, "{err}");
    assert!(list.lines().count() >= 19, "{list}");
    for row in ["first-start ", "held-beside-pgbench ", "mailed "] {
        assert!(list.lines().any(|line| line.starts_with(row)), "{list}");
    }
}

/// What the environment says is nothing to it: it measures what everybody has who says nothing.
#[test]
fn one_row_is_measured_whatever_the_environment_says() {
    let elsewhere = [
        ("DATABASE_URL", "postgres://127.0.0.1:1/nowhere"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("SAGA_DEADLINE", "never"),
    ];
    let (code, said, err) = quick(&["--only", "pgbench"], &elsewhere);
    assert_eq!(code, 0, "{said} {err}");
    let rows = said["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{said}");
    assert!(
        rows[0]["values"]["per_second"].as_f64() > Some(0.0),
        "{said}"
    );
    assert!(err.contains("pgbench"), "it says how far it is: {err}");
}

#[test]
fn a_row_that_cannot_be_measured_is_a_failure_that_says_why() {
    let place = Place::new();
    let nothing = place.path("");
    let nothing = nothing.to_str().expect("text");
    let variables = [
        ("AGORA_POSTGRES", "installed"),
        ("AGORA_POSTGRES_SEARCH", nothing),
    ];
    let (code, said, err) = quick(&["--only", "mails"], &variables);
    assert_eq!(code, 1, "{said} {err}");
    assert!(said["rows"][0]["failed"].is_string(), "{said}");
    let last = err.lines().last().unwrap_or_default();
    assert_line(last, &["not measured: mails", "PostgreSQL"]);

    let (code, _, err) = quick(&["--only", "miles"], &[]);
    assert_eq!(code, 2, "{err}");
}

/// A first start is not as slow as a network, and no download has the time of a start.
#[test]
fn postgres_is_fetched_before_anything_is_measured() {
    let place = Place::new();
    let (nothing, cache) = (place.path("nothing"), place.path("cache"));
    let (nothing, cache) = (nothing.to_str(), cache.to_str());
    let nobody = "http://127.0.0.1:1";
    // A machine without a network, as far as a program can tell.
    let variables = [
        ("AGORA_POSTGRES_SEARCH", nothing.expect("text")),
        ("AGORA_CACHE_DIR", cache.expect("text")),
        ("HTTPS_PROXY", nobody),
        ("https_proxy", nobody),
        ("ALL_PROXY", nobody),
    ];
    let (code, said, err) = quick(&["--only", "mails"], &variables);
    assert_eq!(code, 1, "{said} {err}");
    assert!(!err.contains("first start"), "{err}");
    let last = err.lines().last().unwrap_or_default();
    assert_line(last, &["not measured: mails", "fetching PostgreSQL"]);
}

/// Half a minute in a debug build: with `AGORA_LONG=1` only.
#[test]
fn every_row_yields_a_figure() {
    if std::env::var("AGORA_LONG").is_ok_and(|value| value == "1") {
        let (code, said, err) = quick(&[], &[]);
        assert_eq!(code, 0, "{said} {err}");
        let rows = said["rows"].as_array().expect("rows");
        assert!(rows.len() >= 19, "{said}");
        for row in rows {
            let measured = row["measured"].as_str().unwrap_or_default();
            assert!(measured.contains(|c: char| c.is_ascii_digit()), "{row}");
        }
    }
}
