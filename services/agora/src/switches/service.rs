//! A service that is stopped, as in a deploy, and started again.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::admin::{About, Switch, SwitchState};
use embedded::Refusal;
use tokio::sync::Mutex;

use super::counted::{Position, metric};
use crate::failure::Failure;
use crate::services::{Ports, Supervisor};

/// Counted by each relay for each event that it has published, by topic.
const PUBLISHED: &str = "outbox_published_total";

/// One of them.
pub(super) struct Service {
    ports: Ports,
    /// The metric labels of the events that it reads.
    reads: Vec<String>,
    supervisor: Arc<Supervisor>,
    position: Position,
    /// Take its ports while it is stopped.
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Refusals {
    doors: Vec<Refusal>,
    /// Not counted as hits, since these are probes.
    admin: Option<Refusal>,
}

impl Service {
    pub(super) fn new(
        name: &'static str,
        reads: &[&str],
        supervisor: Arc<Supervisor>,
    ) -> Result<Self, Failure> {
        let ports = supervisor.ports(name);
        let ports = ports.ok_or_else(|| Failure::new(format!("{name} does not run")))?;
        let label = |topic: &&str| format!("destination=\"{topic}\"");
        Ok(Self {
            ports,
            reads: reads.iter().map(label).collect(),
            supervisor,
            position: Position::new(),
            refusals: Mutex::default(),
        })
    }

    /// The events that were published to its topics.
    fn published(&self) -> u64 {
        match self.reads.as_slice() {
            [] => 0,
            reads => metric(PUBLISHED, reads),
        }
    }

    async fn stand_in(&self) -> Refusals {
        let mut refusals = Refusals::default();
        // If a port cannot be taken, its connections are refused by the system, but not counted.
        for door in &self.ports.doors {
            refusals.doors.extend(Refusal::at(*door).await);
        }
        refusals.admin = Refusal::at(self.ports.admin).await.ok();
        refusals
    }
}

#[async_trait]
impl Switch for Service {
    fn about(&self) -> About {
        About {
            name: self.ports.name,
            kind: "service",
            title: format!("Service {}", self.ports.name),
            usual: true,
            absent: None,
        }
    }

    async fn state(&self) -> SwitchState {
        if let Ok(refusals) = self.refusals.try_lock() {
            let came: u64 = refusals.doors.iter().map(Refusal::refused).sum();
            self.position.count(came + self.published());
        }
        self.position.state()
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        let mut refusals = self.refusals.lock().await;
        if on == self.position.is_on() {
            return Ok(());
        }
        if !on {
            let published = self.published();
            self.supervisor.stop(self.ports.name).await?;
            *refusals = self.stand_in().await;
            self.position.off(published);
            return Ok(());
        }
        let standing_in = std::mem::take(&mut *refusals);
        let mut came = 0;
        for refusal in standing_in.doors {
            came += refusal.end().await;
        }
        if let Some(refusal) = standing_in.admin {
            refusal.end().await;
        }
        if let Err(why) = self.supervisor.start(&self.ports).await {
            *refusals = self.stand_in().await;
            return Err(why);
        }
        self.position.on(came + self.published());
        Ok(())
    }
}
