//! CPU for an order, and who watches meanwhile.

use std::time::Duration;

use scenarios::cpu::Used;
use scenarios::figures::percentile;
use scenarios::load::mails_in;
use scenarios::watchers::{Seen, Watchers};
use tokio::runtime::Runtime;

use crate::stage::Stage;

/// Orders a second: the shop has time left.
pub(crate) const RATE: u32 = 50;
/// How long CPU is counted without orders.
const IDLE: Duration = Duration::from_secs(4);

/// Who watches. In an order in which none finds what the one before has left behind: the state is looked at for 10 s after the
/// last page has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Nobody,
    Observatory,
    Hops,
    Page,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Nobody, Self::Observatory, Self::Hops, Self::Page];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody listens",
            Self::Observatory => "the observatory follows",
            Self::Hops => "and somebody reads all hops through the gateway",
            Self::Page => "and a page is open: map, last journeys, one journey live",
        }
    }

    fn watchers(self, stage: &Stage) -> Watchers {
        let mut watchers = Watchers::of(&stage.marketplace);
        match self {
            Self::Nobody | Self::Observatory => {}
            Self::Hops => watchers.follow_hops(),
            Self::Page => watchers.open_page(),
        }
        watchers
    }
}

/// What orders cost while somebody watches.
#[derive(Default)]
pub(crate) struct Costs {
    /// Milliseconds for an order, of each round.
    process_ms: Vec<f64>,
    database_ms: Vec<f64>,
    /// Percent of a core without orders: the process, and PostgreSQL.
    idle: Option<(f64, f64)>,
    refused: usize,
}

impl Costs {
    /// Counts one round; what its watchers have got goes to `seen`.
    pub(crate) fn add(
        &mut self,
        way: Way,
        stage: &Stage,
        seconds: u32,
        runtime: &Runtime,
        seen: &mut Seen,
    ) {
        if self.idle.is_none() {
            let watchers = way.watchers(stage);
            let (process, database) = spent(stage, || std::thread::sleep(IDLE));
            let percent = 100.0 / IDLE.as_secs_f64();
            self.idle = Some((process * percent, database * percent));
            runtime.block_on(watchers.close());
        }
        let mut watchers = way.watchers(stage);
        let mut orders = 0;
        let (process, database) = spent(stage, || {
            if way == Way::Page {
                stage.look_at_journeys(&mut watchers);
            }
            let mails = mails_in(stage.marketplace.mail());
            let sent = stage.order(RATE, seconds);
            self.refused += sent.refused.values().sum::<usize>();
            let new = runtime.block_on(watchers.close());
            orders = sent.accepted.len() + new.orders;
            // An order that was being placed when its watcher left may not have been.
            stage.mailed(mails + orders - usize::from(new.orders > 0));
            seen.add(new);
        });
        self.process_ms.push(process * 1e3 / orders as f64);
        self.database_ms.push(database * 1e3 / orders as f64);
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    pub(crate) fn print(&self, way: Way) {
        let ms = |rounds: &[f64]| {
            let mut sorted = rounds.to_vec();
            sorted.sort_by(f64::total_cmp);
            let (least, middle) = (percentile(&sorted, 0), percentile(&sorted, 50));
            format!("{least:.2}, {middle:.2} ms")
        };
        let (process, database) = self.idle.unwrap_or_default();
        println!(
            "| {} | {} | {} | {process:.0} and {database:.0} % of a core |",
            way.name(),
            ms(&self.process_ms),
            ms(&self.database_ms)
        );
    }
}

/// Seconds of CPU that the process and PostgreSQL take for some work.
fn spent(stage: &Stage, work: impl FnOnce()) -> (f64, f64) {
    let before = Used::by(&stage.marketplace);
    work();
    let after = Used::by(&stage.marketplace);
    (
        after.process - before.process,
        after.database - before.database,
    )
}
