//! The health check of an image: the same program, asked whether the service is ready.

use std::process::Output;

use chassis::admin;
use chassis::health::Health;
use chassis::http::Options;
use tokio::net::{TcpListener, TcpSocket};

use crate::support::eventually;
use crate::support::hello::{self, Hello};
use crate::support::server::Server;

/// Exit code and the one line.
fn told(output: &Output) -> (Option<i32>, String) {
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.code(), text.trim_end().to_owned())
}

/// Asks `port`; on a thread of its own, since a test's server runs on this one.
async fn ask(port: u16) -> (Option<i32>, String) {
    let output = tokio::task::spawn_blocking(move || {
        hello::run(
            &["healthcheck"],
            // As in a container: the service listens everywhere.
            &[
                ("ADMIN_PORT", &port.to_string()),
                ("ADMIN_BIND_HOST", "0.0.0.0"),
            ],
        )
    });
    told(&output.await.unwrap())
}

#[tokio::test]
async fn a_service_that_is_ready_is_healthy() {
    let hello = Hello::start(&[("ADMIN_BIND_HOST", "0.0.0.0")]);
    let port = hello.admin.port();
    eventually("it is healthy", || async {
        ask(port).await == (Some(0), "ready".to_owned())
    })
    .await;
    // The flag goes where people write it.
    let port = port.to_string();
    for args in [
        ["healthcheck", "--admin-port", &port],
        ["--admin-port", &port, "healthcheck"],
    ] {
        let what = format!("{args:?} finds it healthy");
        eventually(&what, || async {
            told(&hello::run(&args, &[])).0 == Some(0)
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_that_waits_for_a_dependency_is_not_and_says_for_which() {
    let health = Health::new("hello");
    health.dependency("kafka").down("no broker answers");
    health.ready();
    let server = Server::plain(admin::router(health.clone()), Options::default()).await;
    let port = server.address.port();
    // Unless the machine is too busy to answer in the time that a check has.
    eventually("it says for which", || async {
        let (code, line) = ask(port).await;
        let says_which = line.contains("kafka is down (no broker answers)");
        code == Some(1) && line.starts_with("not ready: ") && says_which
    })
    .await;

    health.dependency("kafka").up();
    eventually("it is healthy", || async { ask(port).await.0 == Some(0) }).await;
    server.stop().await;
}

#[tokio::test]
async fn nobody_there_is_not_ready() {
    // It does not listen, and nobody else gets its port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let (code, line) = ask(port).await;
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
}

#[tokio::test]
async fn a_service_that_hangs_is_not_ready() {
    // The kernel takes the connection and the question; nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (code, line) = ask(listener.local_addr().unwrap().port()).await;
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("no answer in 2s"), "{line}");
}

#[tokio::test]
async fn the_check_needs_nothing_of_what_the_service_needs() {
    #[derive(clap::Parser)]
    struct Config {
        #[command(flatten)]
        service: chassis::config::Service,
        #[arg(long, default_value_t = 1)]
        admin_port: u16,
        #[arg(long)]
        must: String,
    }
    let line = |args: &[&str]| {
        chassis::config::try_from_args::<Config>(args.iter().copied())
            .err()
            .unwrap()
    };
    assert!(line(&["x"]).contains("--must"), "{}", line(&["x"]));
    let check = line(&["x", "healthcheck"]);
    assert_eq!(check, "healthcheck is a command and no configuration");
}
