//! The load as a switch, for the page.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::Shutdown;
use chassis::admin::{About, Switch, SwitchState};
use client::Address;
use parking_lot::Mutex;

use super::engine::{self, Pace, Plan};
use super::seen::{Phase, Seen};

/// The switches there are: the name, and orders a second.
pub(crate) const RATES: [(&str, u32); 2] = [("load-20", 20), ("load-100", 100)];
/// For how long a switch sends orders, if nobody turns it off.
const TIME: Duration = Duration::from_secs(30);
/// The interval at which it is checked, after turning it off, whether all orders are answered.
const LOOK: Duration = Duration::from_millis(50);

/// Sends orders while it is on, and turns itself off. The orders are cancelled afterwards, so that the products are for sale
/// again.
pub(crate) struct LoadSwitch {
    name: &'static str,
    rate: NonZeroU32,
    shop: Address,
    run: Mutex<Option<Run>>,
}

struct Run {
    seen: Arc<Seen>,
    stop: Shutdown,
}

impl LoadSwitch {
    /// The switch of [`RATES`] for the gateway at `shop`.
    pub(crate) fn new(name: &'static str, rate: NonZeroU32, shop: Address) -> Self {
        Self {
            name,
            rate,
            shop,
            run: Mutex::default(),
        }
    }

    fn seen(&self) -> Option<Arc<Seen>> {
        self.run.lock().as_ref().map(|run| Arc::clone(&run.seen))
    }

    fn start(&self) -> Result<(), String> {
        let mut run = self.run.lock();
        match run.as_ref().map(|run| &run.seen) {
            Some(seen) if seen.is_sending() => return Ok(()),
            Some(seen) if !seen.is_over() => {
                return Err("what was bought before is still being given back".to_owned());
            }
            _ => {}
        }
        let (seen, stop) = (Arc::new(Seen::new()), Shutdown::manual());
        let plan = Plan {
            shop: self.shop.clone(),
            pace: Pace::Open(self.rate),
            time: TIME,
            give_back: true,
            flows: None,
        };
        let name = self.name;
        let running = engine::run(plan, Arc::clone(&seen), stop.clone());
        let told = Arc::clone(&seen);
        tokio::spawn(async move {
            match running.await {
                Ok(bought) => engine::give_back(bought, &told).await,
                Err(failure) => {
                    tracing::warn!(switch = name, why = %failure, "the load switch failed");
                    told.enter(Phase::Over);
                }
            }
        });
        *run = Some(Run { seen, stop });
        Ok(())
    }
}

#[async_trait]
impl Switch for LoadSwitch {
    fn about(&self) -> About {
        let seconds = TIME.as_secs();
        About {
            name: self.name,
            kind: "load",
            title: format!("{} orders a second for {seconds} s", self.rate),
            usual: false,
            absent: None,
        }
    }

    /// Its hits are the orders that the shop has accepted.
    async fn state(&self) -> SwitchState {
        let seen = self.seen();
        SwitchState {
            on: seen.as_ref().is_some_and(|seen| seen.is_sending()),
            hit: seen.map_or(0, |seen| seen.count_accepted()),
        }
    }

    async fn set(&self, on: bool) -> Result<(), String> {
        if on {
            return self.start();
        }
        if let Some(run) = &*self.run.lock() {
            run.stop.trigger();
        }
        while self.seen().is_some_and(|seen| seen.is_sending()) {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for LoadSwitch {
    fn drop(&mut self) {
        if let Some(run) = self.run.get_mut() {
            run.stop.trigger();
        }
    }
}
