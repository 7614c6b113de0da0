//! Whether a service can do its work, and if not, since when and because of which dependency.

mod directions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use crate::ServiceInfo;
pub use directions::Reporter;

/// The health of one service; clones share it.
///
/// Ready means: [`ready`](Health::ready) was called (the start is over), no dependency is down or
/// still unknown, and the service is not stopping.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    service: ServiceInfo,
    started: AtomicBool,
    stopping: AtomicBool,
    // A BTreeMap, so that /readyz always lists in the same order. The lock is held for a few instructions only.
    dependencies: Mutex<BTreeMap<String, Record>>,
}

#[derive(Clone)]
struct Record {
    state: State,
    since: DateTime<Utc>,
    detail: Option<String>,
}

/// The last reported state of a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was reported yet.
    Starting,
    /// It answered.
    Up,
    /// Something is wrong with it, but the service can still work: it is reported, and the service stays ready.
    Degraded,
    /// It did not answer, or it refused.
    Down,
}

/// The body of `/readyz`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `ready`, `starting`, `unavailable` or `stopping`.
    pub status: &'static str,
    /// The service's name.
    pub service: &'static str,
    /// Every dependency, by name.
    pub dependencies: Vec<DependencyReport>,
}

/// One dependency in a [`Report`].
#[derive(Clone, Debug, Serialize)]
pub struct DependencyReport {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// The time of the last change of state (RFC 3339, UTC).
    pub since: String,
    /// Why it is down or degraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Health {
    /// A service that is starting and has no dependencies yet.
    pub fn new(service: impl Into<ServiceInfo>) -> Self {
        Self(Arc::new(Inner {
            service: service.into(),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            dependencies: Mutex::default(),
        }))
    }

    /// Adds a dependency that the service cannot work without; it counts as starting until its state is reported.
    pub fn dependency(&self, name: impl Into<String>) -> Dependency {
        self.add(name.into(), State::Starting, State::Down)
    }

    /// Adds a dependency that the service can do without for a while: it counts as up until its state is reported, and
    /// while it is unavailable the service is degraded but stays ready.
    pub fn optional(&self, name: impl Into<String>) -> Dependency {
        self.add(name.into(), State::Up, State::Degraded)
    }

    fn add(&self, name: String, state: State, away: State) -> Dependency {
        self.records()
            .entry(name.clone())
            .or_insert_with(|| Record {
                state,
                since: Utc::now(),
                detail: None,
            });
        Dependency {
            health: self.clone(),
            name: Arc::from(name),
            away,
        }
    }

    /// Marks the start as finished: from here on only the dependencies decide.
    pub fn ready(&self) {
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// Marks the service as stopping: it is never ready again, so that no new work is sent to it.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether `/readyz` answers 200.
    pub fn is_ready(&self) -> bool {
        self.report().status == "ready"
    }

    /// The body of `/readyz`.
    pub fn report(&self) -> Report {
        let records = self.records().clone();
        let any = |state| records.values().any(|record| record.state == state);
        let status = if self.0.stopping.load(Ordering::Relaxed) {
            "stopping"
        } else if any(State::Down) {
            "unavailable"
        } else if any(State::Starting) || !self.0.started.load(Ordering::Relaxed) {
            "starting"
        } else {
            "ready"
        };
        let dependencies = records
            .into_iter()
            .map(|(name, record)| DependencyReport {
                name,
                state: record.state,
                since: record.since.to_rfc3339_opts(SecondsFormat::Millis, true),
                detail: record.detail,
            })
            .collect();
        Report {
            status,
            service: self.0.service.name,
            dependencies,
        }
    }

    /// The service whose health this is.
    pub(crate) fn service(&self) -> ServiceInfo {
        self.0.service
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.0.dependencies.lock()
    }

    /// Sets the state of a dependency. Returns the previous state if it was another one.
    fn set(&self, name: &str, state: State, detail: Option<String>) -> Option<State> {
        let mut records = self.records();
        let record = records.get_mut(name)?;
        // The newest reason is always shown, but only a change of state updates `since`.
        record.detail = detail;
        if record.state == state {
            return None;
        }
        record.since = Utc::now();
        Some(std::mem::replace(&mut record.state, state))
    }
}

/// Reports the state of one dependency; clones report on the same one.
///
/// It is the only place that logs an outage: code that finds an engine unavailable reports it here and does not log it
/// itself. So one outage causes one WARN, however many parts of a service notice it.
#[derive(Clone)]
pub struct Dependency {
    health: Health,
    name: Arc<str>,
    /// The state to set while it does not answer.
    away: State,
}

impl Dependency {
    /// The name of the dependency.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reports that it answered. Logs that only if it had been unavailable.
    pub fn up(&self) {
        if self.health.set(&self.name, State::Up, None) == Some(self.away) {
            tracing::info!(
                service = self.health.0.service.name,
                dependency = &*self.name,
                "reachable again"
            );
        }
    }

    /// Reports that it did not answer. Logs one WARN for each change of state, however often this is called.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let before = self.health.set(&self.name, self.away, Some(reason.clone()));
        if before.is_some() {
            tracing::warn!(
                service = self.health.0.service.name,
                dependency = &*self.name,
                reason,
                "unavailable"
            );
        }
    }

    /// Reports a problem that does not keep the service from its work. It is not logged here; the code that found it
    /// does that.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.health
            .set(&self.name, State::Degraded, Some(reason.into()));
    }

    /// The state that was reported last.
    pub fn state(&self) -> State {
        self.health
            .records()
            .get(&*self.name)
            .map_or(State::Starting, |record| record.state)
    }

    /// Like [`reporter`](Dependency::reporter), but without a log line, for problems that are no outage: the code that
    /// found the problem logs it.
    pub fn quiet_reporter(&self) -> Reporter {
        let dependency = self.clone();
        Arc::new(move |result| {
            let (state, detail) = match result {
                Ok(()) => (State::Up, None),
                Err(reason) => (dependency.away, Some(reason)),
            };
            dependency.health.set(&dependency.name, state, detail);
        })
    }

    /// The reporting as a function, for crates that report a status without depending on this one.
    pub fn reporter(&self) -> Reporter {
        let dependency = self.clone();
        Arc::new(move |result| match result {
            Ok(()) => dependency.up(),
            Err(reason) => dependency.down(reason),
        })
    }
}
