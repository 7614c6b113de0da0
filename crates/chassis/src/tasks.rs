//! The supervised tasks of a service: none of them can end unnoticed.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{Id, JoinSet};
use tracing::Instrument;

use crate::{Fatal, Shutdown};

/// The long-running parts of a service (doors, relay, consumers, sweepers).
///
/// A task that ends, fails or panics before the shutdown was requested *triggers* the shutdown and is the error of
/// [`join`](Tasks::join): a service that has lost a part must be restarted instead of running without it.
pub struct Tasks {
    shutdown: Shutdown,
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, String>,
}

/// The result of a task: `()` or a `Result` of it.
pub trait Outcome {
    /// The text of the failure, if the task failed.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<Fatal>> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.into().to_string())
    }
}

impl Tasks {
    /// An empty set of tasks, which `shutdown` tells to stop.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            set: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// Starts a task. Its failure is reported under `name`.
    pub fn spawn<F>(&mut self, name: impl Into<String>, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Outcome + Send,
    {
        let name = name.into();
        let shutdown = self.shutdown.clone();
        let label = name.clone();
        let watched = async move {
            let failure = match AssertUnwindSafe(future).catch_unwind().await {
                Ok(outcome) => outcome.failure().map(|why| format!("{label}: {why}")),
                Err(panic) => Some(format!("{label} panicked: {}", panic_text(&*panic))),
            };
            match failure {
                None if shutdown.is_triggered() => Ok(()),
                None => {
                    shutdown.trigger();
                    Err(format!("{label} ended although nobody asked it to"))
                }
                Some(why) => {
                    tracing::error!(task = label, why, "task failed");
                    shutdown.trigger();
                    Err(why)
                }
            }
        };
        let handle = self.set.spawn(watched.in_current_span());
        self.names.insert(handle.id(), name);
    }

    /// Waits for the shutdown, and then at most `deadline` for the tasks to end; the others are aborted.
    ///
    /// # Errors
    /// The error of the first task that failed or ended early.
    pub async fn join(mut self, deadline: Duration) -> Result<(), Fatal> {
        let mut first = Ok(());
        let shutdown = self.shutdown.clone();
        let expired = async {
            shutdown.cancelled().await;
            tokio::time::sleep(deadline).await;
        };
        tokio::pin!(expired);
        loop {
            let ended = tokio::select! {
                ended = self.set.join_next_with_id() => ended,
                () = &mut expired => break,
            };
            let failure = match ended {
                None => return first,
                Some(Ok((id, result))) => {
                    self.names.remove(&id);
                    result.err()
                }
                // Only an abort leads here, since panics are caught in the task.
                Some(Err(error)) => self
                    .names
                    .remove(&error.id())
                    .map(|name| format!("{name} was aborted")),
            };
            if let (Some(why), true) = (failure, first.is_ok()) {
                first = Err(Fatal::new(why));
            }
        }
        let mut late: Vec<_> = self.names.into_values().collect();
        late.sort();
        tracing::warn!(
            tasks = late.join(", "),
            deadline_ms = deadline.as_millis(),
            "did not stop in time, aborted"
        );
        self.set.shutdown().await;
        first
    }
}

/// The message of a caught panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
