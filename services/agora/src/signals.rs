//! The causes of a stop: signals, and the end of the standard input.

use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::failure::Failure;

/// All causes of a stop.
#[derive(Debug)]
pub(crate) struct Signals {
    signals: chassis::Signals,
    /// Resolves when the standard input ends; `None` if it had ended at the start.
    input: Option<oneshot::Receiver<()>>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            signals: chassis::Signals::listen()?,
            input: watch_input(),
        })
    }

    /// Waits for the next one; returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        let ended = async {
            match &mut self.input {
                // The sender was dropped: the end of the input cannot be detected.
                Some(input) => match input.await {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            signal = self.signals.next() => signal,
            () = ended => {
                // The input stays ended, so the next cause is a signal.
                self.input = None;
                "end of input"
            }
        }
    }
}

/// Watches the standard input for its end: the pipe's writers are closed, or the terminal is gone. A file or a closed input has
/// no such end.
///
/// It is never read, since the system suspends a background program that reads from its terminal. So it is polled, in a separate
/// thread that lives as long as the process; the runtime would wait for its own threads at the end.
fn watch_input() -> Option<oneshot::Receiver<()>> {
    // An input that had ended before the start does not mean that the program should stop at once.
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if input_ended(Some(&now))? {
        return None;
    }
    let (over, input) = oneshot::channel();
    let watch = move || {
        if input_ended(None) == Some(true) {
            // The receiver may be gone during a stop.
            let _ = over.send(());
        }
    };
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(watch)
        .ok()?;
    Some(input)
}

/// Waits until the standard input has ended, at most for `at_most`; returns whether it has. `None` if that cannot be detected.
fn input_ended(at_most: Option<&Timespec>) -> Option<bool> {
    let input = std::io::stdin();
    // Without requested events, `poll` reports only the end and errors.
    let mut state = [PollFd::new(&input, PollFlags::empty())];
    loop {
        match poll(&mut state, at_most) {
            Ok(count) => return Some(count > 0),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
