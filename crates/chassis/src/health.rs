//! Whether a service can do its work, and if not, since when and for want of what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use crate::ServiceInfo;

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
    // A BTreeMap, so that /readyz always lists in the same order. Held for a few instructions only.
    dependencies: Mutex<BTreeMap<String, Record>>,
}

#[derive(Clone)]
struct Record {
    state: State,
    since: DateTime<Utc>,
    detail: Option<String>,
}

/// What is known of a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not heard of yet.
    Starting,
    /// It answered.
    Up,
    /// Something is wrong with it, but the service can do its work: reported, and ready all the same.
    Degraded,
    /// It did not answer, or refused.
    Down,
}

/// The body of `/readyz`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `ready`, `starting`, `unavailable` or `stopping`.
    pub status: &'static str,
    /// The service that speaks.
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
    /// When it took this state (RFC 3339, UTC).
    pub since: String,
    /// Why it is down or degraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Health {
    /// A service that is starting and needs nothing yet.
    pub fn new(service: impl Into<ServiceInfo>) -> Self {
        Self(Arc::new(Inner {
            service: service.into(),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            dependencies: Mutex::default(),
        }))
    }

    /// Adds something the service cannot work without; it counts as starting until it is reported on.
    pub fn dependency(&self, name: impl Into<String>) -> Dependency {
        self.add(name.into(), State::Starting, State::Down)
    }

    /// Adds something the service can do without for a while: it counts as up until it is reported on, and while it is
    /// away the service is degraded, and ready all the same.
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

    /// The start is over: from here on only the dependencies decide.
    pub fn ready(&self) {
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// The service is stopping: not ready for the rest of its life, so that no new work is sent here.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether `/readyz` answers 200.
    pub fn is_ready(&self) -> bool {
        self.report().status == "ready"
    }

    /// What `/readyz` answers.
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

    /// The service that this is the health of.
    pub(crate) fn service(&self) -> ServiceInfo {
        self.0.service
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.0.dependencies.lock()
    }

    /// Takes a state; the one before, if it was another.
    fn set(&self, name: &str, state: State, detail: Option<String>) -> Option<State> {
        let mut records = self.records();
        let record = records.get_mut(name)?;
        // The newest reason is shown, but only a change of state moves `since`.
        record.detail = detail;
        if record.state == state {
            return None;
        }
        record.since = Utc::now();
        Some(std::mem::replace(&mut record.state, state))
    }
}

/// Reports on one dependency; clones report on the same one.
///
/// It is the one place that logs an outage: whoever meets an engine that is away says so here, or nowhere. So one outage is
/// one WARN, however many parts of a service meet it.
#[derive(Clone)]
pub struct Dependency {
    health: Health,
    name: Arc<str>,
    /// What it is while it does not answer.
    away: State,
}

impl Dependency {
    /// What the service calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It answered. Says so in the log only when it had been away.
    pub fn up(&self) {
        if self.health.set(&self.name, State::Up, None) == Some(self.away) {
            tracing::info!(
                service = self.health.0.service.name,
                dependency = &*self.name,
                "reachable again"
            );
        }
    }

    /// It did not answer. One WARN for each change, however often it is reported.
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

    /// Something is wrong with it that does not keep the service from its work. Whoever found out says so in the log.
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

    /// [`reporter`](Dependency::reporter) for what is no outage: it is shown, and whoever found out says so in the log.
    pub fn quiet_reporter(&self) -> Arc<dyn Fn(Result<(), String>) + Send + Sync> {
        let dependency = self.clone();
        Arc::new(move |result| {
            let (state, detail) = match result {
                Ok(()) => (State::Up, None),
                Err(reason) => (dependency.away, Some(reason)),
            };
            dependency.health.set(&dependency.name, state, detail);
        })
    }

    /// The same as a function, for crates that report a status without knowing of health.
    pub fn reporter(&self) -> Arc<dyn Fn(Result<(), String>) + Send + Sync> {
        let dependency = self.clone();
        Arc::new(move |result| match result {
            Ok(()) => dependency.up(),
            Err(reason) => dependency.down(reason),
        })
    }
}
