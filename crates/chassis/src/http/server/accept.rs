//! Where connections come from: one after the other while the server runs, and what is left in the kernel's backlog when it
//! stops.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::places::{Place, Places};
use crate::Shutdown;

/// The most connections that are accepted from the kernel's backlog once the shutdown has begun.
const BACKLOG: usize = 4096;
/// The pause after an accept failed because there are no file descriptors left; the kernel keeps the backlog in the
/// meantime.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often it is logged that connections cannot be accepted: not with each attempt, which would be twenty lines a second.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// When it was logged last that connections cannot be accepted.
#[derive(Default)]
pub(super) struct Told(Option<Instant>);

impl Told {
    fn tell(&mut self, error: &std::io::Error) {
        if self.0.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            self.0 = Some(Instant::now());
            tracing::warn!(%error, "connections cannot be accepted; trying again");
        }
    }
}

/// The connections that the kernel has already accepted; afterwards the port is closed. Asks the kernel itself, since
/// tokio may not have been notified of them yet.
pub(super) fn backlog(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    std::iter::from_fn(move || {
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
    .take(BACKLOG)
}

/// The next connection and its place; `None` once the shutdown has begun.
pub(super) async fn accept(
    listener: &TcpListener,
    places: &Places,
    shutdown: &Shutdown,
    told: &mut Told,
) -> Option<(TcpStream, Place)> {
    let next = async {
        loop {
            match listener.accept().await {
                // Accept before there is a place, so that another connection can be closed to make room; only one
                // connection at a time waits like this.
                Ok((stream, _)) => return Some((stream, places.take().await?)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    told.tell(&error);
                    places.descriptors_ran_out();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}

/// Whether the error concerns only one connection, whose peer was already gone: no reason to pause.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
