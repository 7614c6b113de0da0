//! A port that refuses connections, and counts them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The attempts to bind a port that its owner is just releasing, and the pause between them.
const BIND_TRIES_MAX: u32 = 100;
const BIND_PAUSE: Duration = Duration::from_millis(10);
/// The pause after a connection that could not be accepted, e.g. for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on the port of a server that is unavailable: each connection is counted and reset as soon as it is made. A port
/// without a listener refuses connections as well, but does not count them, and another process may take it.
#[derive(Debug)]
pub struct Refusal {
    refused: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Refusal {
    /// Binds the port that its owner has just released.
    ///
    /// # Errors
    /// When somebody listens there, still after a second.
    pub async fn at(address: SocketAddr) -> io::Result<Self> {
        let mut tries = 0;
        let listener = loop {
            tries += 1;
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) if tries >= BIND_TRIES_MAX => return Err(error),
                Err(_) => tokio::time::sleep(BIND_PAUSE).await,
            }
        };
        let refused = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&refused);
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((connection, _)) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                        // Without it the client would see a connection that is established and then closed.
                        let _ = connection.set_zero_linger();
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        });
        Ok(Self { refused, task })
    }

    /// How many connections were reset so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Releases the port; when this returns nobody listens on it.
    pub async fn end(mut self) -> u64 {
        self.task.abort();
        // Cancelled, as asked.
        let _ = (&mut self.task).await;
        self.refused()
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.task.abort();
    }
}
