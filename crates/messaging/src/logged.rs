//! What a test writes to the log. `tests/it` has this file, too.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

/// Collects what this thread logs from INFO on, for as long as this lives.
pub(crate) struct Logged {
    lines: Lines,
    _collecting: DefaultGuard,
    /// Wants nothing. Whether anybody wants a call site is asked of all subscribers, unless there is only one: then of that of
    /// the thread that comes there first, and one that has none, as other tests', turns the call site off for all.
    _other: Dispatch,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(crate) fn begin() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        Self {
            lines,
            _other: Dispatch::new(NoSubscriber::new()),
            _collecting: tracing::subscriber::set_default(log.finish()),
        }
    }

    /// The lines of this crate of one level, such as `WARN`.
    pub(crate) fn of(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.lines.0.lock()).into_owned();
        let ours = format!(" {level} messaging");
        let lines = text.lines().filter(|line| line.contains(&ours));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
