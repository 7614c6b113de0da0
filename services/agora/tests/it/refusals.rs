//! What cannot work is said in one line, with the right exit code, and touches nothing.

use std::net::TcpListener;

use tokio::net::TcpSocket;

use crate::support::{Market, Place, agora, assert_line, run};

#[test]
fn a_bad_value_names_the_variable_and_what_is_allowed() {
    for (variable, value, parts) in [
        (
            "GATEWAY_PORT",
            "eighty",
            ["GATEWAY_PORT", "--gateway-port", "eighty"],
        ),
        (
            "AGORA_POSTGRES",
            "newest",
            ["AGORA_POSTGRES", "installed or fetched", "newest"],
        ),
        // Settings of a single service are read here too.
        (
            "TOKEN_LIFETIME",
            "long",
            ["TOKEN_LIFETIME", "long", "duration"],
        ),
        ("SAGA_DEADLINE", "-1", ["SAGA_DEADLINE", "-1", "duration"]),
        ("RATE_LIMIT", "many", ["RATE_LIMIT", "many", "--rate-limit"]),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "nowhere",
            ["OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere", "URL"],
        ),
    ] {
        let place = Place::new();
        let mut command = place.agora(&["up"]);
        command.env(variable, value);
        let (code, _, errors) = run(command);
        assert_eq!(code, 2, "{variable}: {errors}");
        assert_line(&errors, &parts);
        assert!(!place.data().exists(), "{variable} was seen too late");
    }
}

#[test]
fn a_bad_log_filter_is_a_bad_value() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command.env("RUST_LOG", "orders=loud");
    let (code, _, errors) = run(command);
    assert_eq!(code, 2, "{errors}");
    assert_line(&errors, &["RUST_LOG", "orders=loud"]);
}

#[test]
fn secrets_are_not_repeated() {
    for variable in ["DATABASE_URL", "SMTP_URL"] {
        let place = Place::new();
        let mut command = place.agora(&["up"]);
        command.env(variable, "s3cr3t is no URL");
        let (code, _, errors) = run(command);
        assert_eq!(code, 2, "{errors}");
        assert_line(&errors, &[variable]);
        assert!(!errors.contains("s3cr3t"), "{errors}");
    }
}

/// The Kafka in memory has no TLS: services that want it would wait for ever.
#[test]
fn an_authority_needs_the_brokers_that_it_vouches_for() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command.env("KAFKA_CA", "/nowhere/ca.crt");
    let (code, _, errors) = run(command);
    assert_eq!(code, 2, "{errors}");
    assert_line(&errors, &["KAFKA_CA", "KAFKA_BROKERS"]);
}

/// The Kafka in memory has no accounts: to keep silent about one would be to ignore it.
#[test]
fn an_account_needs_the_brokers_that_know_it() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command.env("KAFKA_USERNAME", "shop");
    command.env("KAFKA_PASSWORD", "s3cr3t");
    let (code, _, errors) = run(command);
    assert_eq!(code, 2, "{errors}");
    assert_line(&errors, &["KAFKA_BROKERS"]);
    assert!(!errors.contains("s3cr3t"), "{errors}");
}

/// Nothing is between the services of one process: to keep silent about a sidecar would be to ignore it.
#[test]
fn a_sidecar_is_for_a_service_that_runs_alone() {
    let place = Place::new();
    let (code, _, errors) = run(place.agora(&["up", "--sidecar", "127.0.0.1:15000"]));
    assert_eq!(code, 2, "{errors}");
    assert_line(&errors, &["--sidecar", "agora up"]);
    assert!(!place.data().exists(), "it was seen too late");
}

#[test]
fn an_unknown_flag_is_named() {
    let (code, _, errors) = run(agora(&["up", "--any-prot"]));
    assert_eq!(code, 2);
    assert_line(&errors, &["--any-prot"]);
}

#[test]
fn a_taken_port_names_the_port_and_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (flag, variable) in [
        ("--gateway-port", "GATEWAY_PORT"),
        ("--users-admin-port", "USERS_ADMIN_PORT"),
    ] {
        let place = Place::new();
        let (code, _, errors) = run(place.agora(&["up", flag, &port]));
        assert_eq!(code, 1, "{errors}");
        assert_line(&errors, &[&port, flag, variable]);
        assert!(
            !place.data().join("postgres").exists(),
            "PostgreSQL was started for nothing"
        );
    }
}

#[test]
fn a_held_directory_names_its_holder() {
    let place = Place::new();
    let mut first = Market::start(&place);
    let (code, _, errors) = run(place.agora(&["up"]));
    assert_eq!(code, 1, "{errors}");
    assert_line(
        &errors,
        &[&format!("process {}", first.id()), "--data-dir", "data"],
    );
    // The first one did not notice.
    assert!(place.data().join("endpoints.json").exists());
    first.stop();
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let place = Place::new();
    std::fs::write(place.data(), "a file").expect("a file");
    let (code, _, errors) = run(place.agora(&["up"]));
    assert_eq!(code, 1, "{errors}");
    assert_line(&errors, &["data", "--data-dir"]);
}

#[test]
fn an_unreachable_database_is_named_without_its_password() {
    // One that accepts and never answers, and one that does not listen, whose port nobody else gets.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let absent = TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    absent.bind(any).expect("a port");
    let addresses = [silent.local_addr(), absent.local_addr()];
    for address in addresses {
        let port = address.expect("an address").port();
        let place = Place::new();
        let mut command = place.agora(&["up"]);
        command.env(
            "DATABASE_URL",
            format!("postgres://shop:s3cr3t@127.0.0.1:{port}/postgres"),
        );
        let (code, _, errors) = run(command);
        assert_eq!(code, 1, "{errors}");
        assert_line(&errors, &[&format!("127.0.0.1:{port}"), "DATABASE_URL"]);
        assert!(!errors.contains("s3cr3t"), "{errors}");
    }
}

#[test]
fn without_any_postgres_there_are_three_ways_out() {
    let place = Place::new();
    let mut command = place.agora(&["up", "--postgres-search", "/nonexistent"]);
    command.arg("--cache-dir").arg(place.path("cache"));
    // A machine without a network, as far as a program can tell.
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        command.env(proxy, "http://127.0.0.1:1");
    }
    let (code, _, errors) = run(command);
    assert_eq!(code, 1, "{errors}");
    for part in [
        "1. install",
        "2. start once with a network",
        "3. use a server",
        "DATABASE_URL",
    ] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
}

#[test]
fn only_an_installed_postgres_is_used_if_that_is_asked_for() {
    let place = Place::new();
    let command = place.agora(&[
        "up",
        "--postgres",
        "installed",
        "--postgres-search",
        "/nonexistent",
    ]);
    let (code, _, errors) = run(command);
    assert_eq!(code, 1, "{errors}");
    assert_line(&errors, &["no PostgreSQL", "--postgres"]);
}
