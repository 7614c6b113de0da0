//! The signals that ask a process to stop.

use crate::Fatal;

#[cfg(unix)]
pub use unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::Fatal;

    /// SIGTERM (sent by an orchestrator), SIGINT (Ctrl-C) and SIGHUP (the terminal was closed).
    #[derive(Debug)]
    pub struct Signals {
        terminate: Signal,
        interrupt: Signal,
        /// `None` under `nohup`, which requests exactly that: the signal stays ignored.
        hangup: Option<Signal>,
    }

    impl Signals {
        /// Installs the handlers; from now on the signals no longer end the process by themselves.
        ///
        /// # Errors
        /// If the system does not allow a handler to be set.
        ///
        /// # Panics
        /// Outside a tokio runtime.
        pub fn listen() -> Result<Self, Fatal> {
            let listen = |kind| {
                signal(kind)
                    .map_err(|error| Fatal::new(format!("no signals can be received: {error}")))
            };
            Ok(Self {
                hangup: if hangup_is_ignored() {
                    None
                } else {
                    Some(listen(SignalKind::hangup())?)
                },
                terminate: listen(SignalKind::terminate())?,
                interrupt: listen(SignalKind::interrupt())?,
            })
        }

        /// Waits for the next signal and returns its name.
        pub async fn next(&mut self) -> &'static str {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = hangup => "SIGHUP",
            }
        }
    }

    /// Whether SIGHUP was ignored when this process was started. Without `/proc` that is unknown, and the signal is
    /// handled.
    fn hangup_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // Signal 1 is the lowest bit.
        mask.is_some_and(|mask| mask & 1 == 1)
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Installs the handler.
    ///
    /// # Errors
    /// None.
    pub fn listen() -> Result<Self, Fatal> {
        Ok(Self)
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
