//! What the caller's shell has for other programs.

use std::process::Command;

use crate::support::hello::{self, Hello};

const FOREIGN: [(&str, &str); 5] = [
    ("PGSSLMODE", "verify-full"),
    ("PGOPTIONS", "-c search_path=nowhere"),
    ("PGPASSFILE", "/nowhere"),
    ("OTEL_TRACES_SAMPLER", "always_off"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
];

/// What a process was started with, last.
fn environment(process: u32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{process}/environ")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', "\n"))
}

#[tokio::test]
async fn variables_of_other_programs_do_not_reach_it() {
    let mut env = FOREIGN.to_vec();
    // Ours, and somebody's who is no concern of ours.
    env.extend([("LOG_FORMAT", "json"), ("POSTGRES_X", "stays")]);
    // The flags that it was given hold, or it would not say that it listens on other ports.
    let hello = Hello::start(&env);
    let Some(seen) = environment(hello.child.id()) else {
        return;
    };
    assert!(!seen.contains("PG") && !seen.contains("OTEL_"), "{seen}");
    assert!(
        seen.contains("LOG_FORMAT=json") && seen.contains("POSTGRES_X=stays"),
        "{seen}"
    );
}

#[test]
fn commands_and_errors_stay_the_same() {
    let plain = hello::run(&["--http-port", "many"], &[]);
    let foreign = hello::run(&["--http-port", "many"], &FOREIGN);
    assert_eq!(plain, foreign);
    assert_eq!(foreign.status.code(), Some(2));
    let check = hello::run(&["healthcheck", "--admin-port", "0"], &FOREIGN);
    assert_eq!(check.status.code(), Some(1));
}

/// `nohup` asks for a program that outlives its terminal.
#[tokio::test]
async fn a_hangup_that_was_ignored_stays_ignored() {
    let ignored = |hello: &Hello| {
        let file = format!("/proc/{}/status", hello.child.id());
        let status = std::fs::read_to_string(file).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1)
    };
    let program = hello::command().get_program().to_owned();
    let mut nohup = Command::new("sh");
    nohup
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(program)
        .env_clear();
    let hello = Hello::started_by(nohup, &[]);
    // It listens to signals before it answers.
    crate::process::ready(&hello).await;
    if let Some(ignored) = ignored(&hello) {
        assert!(ignored);
    }
}
