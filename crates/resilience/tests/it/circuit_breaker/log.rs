//! What the log says.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::advance;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use super::{SECOND, breaker, calls, config};
use resilience::circuit_breaker::{CircuitBreaker, State};
use resilience::classify::Outcome::{Failure, Success};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

/// A subscriber that wants nothing, to be kept beside the one that a test reads. Whether anybody wants a call site is asked of all
/// subscribers, unless there is only one: then of that of the thread that comes there first, and one that has none, as other
/// tests', turns the call site off for all.
fn another() -> Dispatch {
    Dispatch::new(NoSubscriber::new())
}

#[tokio::test(start_paused = true)]
async fn an_opening_is_one_warning_with_what_it_saw() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .finish();
    let (_other, _guard) = (another(), tracing::subscriber::set_default(subscriber));

    let breaker = breaker(config());
    calls(&breaker, [Success; 2]);
    calls(&breaker, [Failure; 2]);
    let opened = "WARN circuit breaker opened breaker=\"dependency\" state=\"open\" failure_rate_percent=50 calls=4 \
                  failures=2 slow=0 in_a_row=2 open_ms=1000";
    assert_eq!(lines.take(), [opened]);

    assert!(breaker.acquire().is_err());
    advance(SECOND).await;
    calls(&breaker, [Failure]);
    let stays = "INFO circuit breaker stays open: a probe failed breaker=\"dependency\" state=\"open\" openings=2 \
                 open_ms=2000";
    assert_eq!(lines.take(), [stays]);

    advance(SECOND * 2).await;
    calls(&breaker, [Success; 2]);
    assert_eq!(
        lines.take(),
        ["INFO circuit breaker closed breaker=\"dependency\" state=\"closed\""]
    );
}

#[tokio::test]
async fn one_that_never_opens_says_nothing() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .finish();
    let (_other, _guard) = (another(), tracing::subscriber::set_default(subscriber));

    let breaker = CircuitBreaker::never_opening("dependency", config()).unwrap();
    calls(&breaker, [Failure; 20]);
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(lines.take(), [""; 0]);
}
