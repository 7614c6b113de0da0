//! An engine that a service both reads from and publishes to: two reporters and one state.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Dependency, State};

/// A function that reports that something works, or why it does not.
pub type Reporter = Arc<dyn Fn(Result<(), String>) + Send + Sync>;

/// What was reported last of each direction.
#[derive(Default)]
struct Heard {
    reading: Option<Result<(), String>>,
    publishing: Option<Result<(), String>>,
    /// An outage was logged, and its end was not.
    is_out: bool,
}

impl Dependency {
    /// Two reporters, for what is read from this dependency and for what is published to it.
    ///
    /// Reading decides as [`Dependency::reporter`] does. Where it works and publishing does not (a right that was taken
    /// away, a topic that is gone) the dependency is degraded: what is to be published waits in the outbox, and the
    /// service goes on. An outage that both notice is one WARN, and its end is one INFO.
    pub fn directions(&self) -> (Reporter, Reporter) {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let (dependency, of_reading) = (self.clone(), Arc::clone(&heard));
        let reading: Reporter = Arc::new(move |result| {
            let mut heard = of_reading.lock();
            heard.reading = Some(result);
            dependency.merge(&mut heard);
        });
        let dependency = self.clone();
        let publishing: Reporter = Arc::new(move |result| {
            let mut heard = heard.lock();
            heard.publishing = Some(result);
            dependency.merge(&mut heard);
        });
        (reading, publishing)
    }

    fn merge(&self, heard: &mut Heard) {
        let (state, detail) = match (&heard.reading, &heard.publishing) {
            // Publishing alone does not show that the service can work.
            (None, _) => return,
            (Some(Err(reason)), _) => (self.away, Some(reason.clone())),
            (Some(Ok(())), Some(Err(reason))) => {
                (State::Degraded, Some(format!("publishing: {reason}")))
            }
            (Some(Ok(())), _) => (State::Up, None),
        };
        self.health.set(&self.name, state, detail.clone());
        let was_out = std::mem::replace(&mut heard.is_out, detail.is_some());
        let (service, dependency) = (self.health.0.service.name, &*self.name);
        match detail {
            Some(reason) if !was_out => {
                tracing::warn!(service, dependency, reason, "unavailable");
            }
            None if was_out => tracing::info!(service, dependency, "reachable again"),
            _ => {}
        }
    }
}
