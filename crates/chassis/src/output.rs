//! What a command prints on standard output, and how it ends if that cannot be printed.

use std::io::{self, Write as _};
use std::process;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;

/// The exit code of a command whose output nobody reads any more: 128 + SIGPIPE, as shells tell of one that the signal has
/// ended. Rust's programs ignore the signal and get an error instead, so the code is made here.
pub const EXIT_UNREAD: u8 = 141;

/// The interval at which [`unread`] looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a command's output could not be printed.
#[derive(Debug, Error)]
pub enum PrintError {
    /// Whoever read it has closed the pipe, as `head` does when it has its lines. That is no failure to tell of.
    #[error("nobody reads the output any more")]
    Unread,
    /// For example a full disk.
    #[error("nothing can be printed: {0}")]
    Failed(io::Error),
}

impl PrintError {
    /// What the command ends with: [`EXIT_UNREAD`], or 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unread => EXIT_UNREAD,
            Self::Failed(_) => 1,
        }
    }
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(error),
        }
    }
}

/// Prints a text at once, without what `println!` does about an error: panic.
///
/// # Errors
/// [`PrintError`].
pub fn print(text: &str) -> Result<(), PrintError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

/// Ends a process that had nothing to do but print: with 0, or as the error says, which is one line on standard error unless it
/// is that nobody reads.
pub fn exit(printed: Result<(), PrintError>) -> ! {
    let Err(error) = printed else {
        process::exit(0)
    };
    if matches!(error, PrintError::Failed(_)) {
        // If this cannot be printed either, the exit code tells it.
        let _ = writeln!(io::stderr(), "{error}");
    }
    process::exit(i32::from(error.exit_code()))
}

/// Completes within a second after the reader of the output has gone. For a command that waits for something to print: without it,
/// the command would notice with its next line only, and a shell waits for all commands of a pipe.
pub async fn unread() {
    while !is_unread() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether standard output is a pipe without a reader, or a terminal that is gone.
fn is_unread() -> bool {
    const AT_ONCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let out = io::stdout();
    // Without requested events, `poll` reports only the end and errors.
    let mut state = [PollFd::new(&out, PollFlags::empty())];
    // What cannot be looked at is found out by printing.
    poll(&mut state, Some(&AT_ONCE)).is_ok()
        && state[0]
            .revents()
            .intersects(PollFlags::ERR | PollFlags::HUP)
}
