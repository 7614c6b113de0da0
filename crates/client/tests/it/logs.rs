//! The log of one test. Its runtime has one thread, so what its tasks say is said on it.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this thread has logged, since it runs one test only.
pub(crate) struct Logs(());

/// To be called before anything that a test wants to find in its log.
///
/// One subscriber for all threads, in place before the code under test runs: with one for each thread, a call
/// site that is met by two threads at once can be turned off for both.
pub(crate) fn capture() -> Logs {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_writer(|| ThisThread)
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    // With one test thread, the tests share it.
    LOG.with_borrow_mut(Vec::clear);
    Logs(())
}

impl Logs {
    pub(crate) fn text(&self) -> String {
        LOG.with_borrow(|log| String::from_utf8(log.clone()).unwrap())
    }

    /// How many lines hold `text`.
    pub(crate) fn lines(&self, text: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
