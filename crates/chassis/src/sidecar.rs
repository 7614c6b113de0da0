//! The proxy of a service mesh that stands beside the service: without it the service reaches no other one, and no other
//! one reaches it, however well it is itself. So `/readyz` says it ([`crate::config::Service::sidecar`]). It also knows who calls,
//! by the caller's certificate, which becomes the field `caller` of the request's span and of the log lines within it.

mod caller;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Shutdown;
use crate::health::Dependency;

pub(crate) use caller::take_caller;

/// The interval of the checks.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take; the sidecar is on the same machine.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// What Envoy's admin port is asked. It refuses HTTP/1.0.
const REQUEST: &[u8] = b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
/// What of an answer is read: `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// Asks the sidecar again and again, and reports it, until the shutdown.
pub async fn watch(address: SocketAddr, sidecar: Dependency, shutdown: Shutdown) {
    loop {
        match timeout(ANSWER_MAX, ask(address)).await {
            Ok(Ok(())) => sidecar.up(),
            Ok(Err(why)) => sidecar.down(format!("{address}: {why}")),
            Err(_) => sidecar.down(format!("{address}: no answer in {ANSWER_MAX:?}")),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

async fn ask(address: SocketAddr) -> Result<(), String> {
    let status = read_status(address)
        .await
        .map_err(|error| error.to_string())?;
    if status.ends_with(b" 200") {
        return Ok(());
    }
    Err(format!("it answers {}", status.escape_ascii()))
}

async fn read_status(address: SocketAddr) -> std::io::Result<[u8; STATUS_BYTES]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    Ok(status)
}
