//! `orders healthcheck`: the service's own binary asks the running service whether it is ready.
//!
//! So an image needs no shell and no `curl` for its health check. Every service has the subcommand, because
//! [`config::parse`](crate::config::parse) adds it to each command that has an `--admin-port`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command};

/// The subcommand's name.
pub(crate) const NAME: &str = "healthcheck";
/// The arguments that a command must have to get the subcommand: the address of the admin port.
const PORT: &str = "admin_port";
const HOST: &str = "admin_bind_host";
/// How long the whole check may take. `/readyz` waits for nothing, so that a missing answer means that the service is
/// not ready.
const DEADLINE: Duration = Duration::from_secs(2);
/// The most bytes of the answer that are read; a report has a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Adds the subcommand to a service's command line. It takes `--admin-port` and `--admin-bind-host` (or their
/// variables), and none of the arguments that the service itself requires.
pub(crate) fn offer(command: Command) -> Command {
    let has = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
    if !has(PORT) || !has(HOST) {
        return command;
    }
    command
        .mut_arg(PORT, |arg| arg.global(true))
        .mut_arg(HOST, |arg| arg.global(true))
        .subcommand(
            Command::new(NAME)
                .about("Ask the running service for /readyz: exit 0 when it is ready, else 1"),
        )
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
}

/// The address to ask, if the command line has the subcommand.
pub(crate) fn asked_for(matches: &ArgMatches) -> Option<(String, u16)> {
    let (NAME, matches) = matches.subcommand()? else {
        return None;
    };
    Some((
        matches.get_one::<String>(HOST)?.clone(),
        *matches.get_one::<u16>(PORT)?,
    ))
}

/// Requests `/readyz` from the admin port of `host`, and waits at most 2 s for the answer.
///
/// It asks for readiness, not liveness, because a container is waited for until it is healthy in order to use it. An
/// orchestrator that restarts unhealthy containers (Compose does not) must ask for `/livez` instead.
///
/// # Errors
/// The reason in one line: which dependencies are down, or that nothing answers.
pub fn check(host: &str, port: u16) -> Result<(), String> {
    if port == 0 {
        return Err("ADMIN_PORT is 0, any free port: nobody can tell which".to_owned());
    }
    let deadline = Instant::now() + DEADLINE;
    let address = address(host, port)?;
    let answer = ask(address, deadline)
        .map_err(|error| format!("http://{address}/readyz: {}", why(&error)))?;
    verdict(&answer).map_err(|what| format!("http://{address}/readyz: {what}"))
}

/// A service that is bound to every address is asked on the loopback.
fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let unresolved = || format!("{host} is not an address of this machine");
    let mut address = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(unresolved)?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    Ok(address)
}

/// Twenty lines of HTTP instead of a client: the check runs every few seconds and should be cheap.
fn ask(address: SocketAddr, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(
        b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nuser-agent: healthcheck\r\nconnection: close\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while answer.len() < ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    Ok(answer)
}

/// The remaining time; an error if there is none, since a socket treats a timeout of zero as no timeout.
fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// The system's text for a timed-out read, "resource temporarily unavailable", is misleading.
fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("no answer in {DEADLINE:?}"),
        _ => error.to_string(),
    }
}

fn verdict(answer: &[u8]) -> Result<(), String> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => Err(format!("{status} {}", reasons(body))),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

/// `unavailable: kafka is down (no broker answers), postgres is starting`, from a [`Report`](crate::health::Report).
fn reasons(body: &str) -> String {
    let Ok(report) = serde_json::from_str::<serde_json::Value>(body) else {
        return "without a report".to_owned();
    };
    let status = report["status"].as_str().unwrap_or("without a status");
    let missing: Vec<String> = report["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["state"] != "up")
        .map(|dependency| {
            let word = |key: &str| dependency[key].as_str().unwrap_or("?").to_owned();
            match dependency["detail"].as_str() {
                Some(detail) => format!("{} is {} ({detail})", word("name"), word("state")),
                None => format!("{} is {}", word("name"), word("state")),
            }
        })
        .collect();
    if missing.is_empty() {
        return status.to_owned();
    }
    format!("{status}: {}", missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_one_line() {
        let body = r#"{"status":"unavailable","service":"orders","dependencies":[
            {"name":"kafka","state":"down","since":"x","detail":"no broker answers"},
            {"name":"postgres","state":"up","since":"x"},
            {"name":"users","state":"starting","since":"x"}]}"#;
        let answer = format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1\r\n\r\n{body}");
        assert_eq!(
            verdict(answer.as_bytes()).unwrap_err(),
            "503 unavailable: kafka is down (no broker answers), users is starting"
        );
    }

    #[test]
    fn only_200_is_ready() {
        assert!(verdict(b"HTTP/1.1 200 OK\r\n\r\n{}").is_ok());
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            assert!(verdict(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_asked_at_the_loopback() {
        for (host, asked) in [
            ("0.0.0.0", "127.0.0.1:8091"),
            ("::", "[::1]:8091"),
            ("127.0.0.2", "127.0.0.2:8091"),
        ] {
            assert_eq!(address(host, 8091).unwrap().to_string(), asked);
        }
    }

    #[test]
    fn any_free_port_cannot_be_asked() {
        assert!(check("127.0.0.1", 0).unwrap_err().contains("ADMIN_PORT"));
    }
}
