//! The log of one test. Its runtime has one thread, so what its tasks say is said on it.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this thread has logged, since it runs one test only.
pub(crate) struct Logs(());

/// To be called before anything that a test wants to find in its log, and before it has a subscriber of its own.
///
/// One subscriber for all threads, in place before the code under test runs: with one for each thread, a call
/// site that is met by two threads at once can be turned off for both.
pub(crate) fn capture() -> Logs {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(|| ThisThread)
            .with_ansi(false);
        // What becomes part of a span, too.
        let wanted = Targets::new()
            .with_default(Level::INFO)
            .with_targets([("client", Level::DEBUG), ("resilience", Level::DEBUG)]);
        let subscriber = Registry::default().with(lines.with_filter(wanted));
        tracing::subscriber::set_global_default(subscriber).unwrap();
        // A thread that came to a call site just before has turned it off.
        tracing::callsite::rebuild_interest_cache();
    });
    // With one test thread, the tests share it.
    LOG.with_borrow_mut(Vec::clear);
    Logs(())
}

/// The same with a line for each span that ends, until the guard is dropped.
pub(crate) fn spans() -> (Logs, DefaultGuard) {
    let logs = capture();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| ThisThread)
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE);
    let guard = tracing::subscriber::set_default(Registry::default().with(lines));
    (logs, guard)
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
