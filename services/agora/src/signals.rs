//! What asks for a stop: signals, and the end of the standard input.

use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::failure::Failure;

/// All that asks for a stop.
#[derive(Debug)]
pub(crate) struct Signals {
    signals: chassis::Signals,
    /// Comes when the standard input has ended; none if it was over from the beginning.
    input: Option<oneshot::Receiver<()>>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            signals: chassis::Signals::listen()?,
            input: watch_input(),
        })
    }

    /// Waits for the next of them: what it was.
    pub(crate) async fn next(&mut self) -> &'static str {
        let ended = async {
            match &mut self.input {
                // Dropped without a word: its end cannot be known.
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
                // It stays ended: what comes next is a signal.
                self.input = None;
                "end of input"
            }
        }
    }
}

/// Watches the standard input for its end: nobody can write to the pipe any more, the terminal went away. A file, or
/// nothing at all, has no such end.
///
/// Nothing is ever read from it: a program in the background that reads from its terminal is stopped. So `poll` it is,
/// in a thread that lives as long as the process; the runtime's own threads would be waited for at the end.
fn watch_input() -> Option<oneshot::Receiver<()>> {
    // Whoever starts it with a pipe that is closed already did not mean that it should end at once.
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
            // Nobody waits for it during a stop.
            let _ = over.send(());
        }
    };
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(watch)
        .ok()?;
    Some(input)
}

/// Waits until the standard input has ended, or for `at_most`; whether it has. None if that cannot be known.
fn input_ended(at_most: Option<&Timespec>) -> Option<bool> {
    let input = std::io::stdin();
    // Without anything asked for, only the end and errors are told.
    let mut state = [PollFd::new(&input, PollFlags::empty())];
    loop {
        match poll(&mut state, at_most) {
            Ok(count) => return Some(count > 0),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
