//! `agora bench`: the first table of docs/performance.md, in one run.
//!
//! | where | what |
//! |---|---|
//! | `row.rs`, `figures.rs` | the rows, and what came of them |
//! | `stages.rs`, `stages/` | how each is measured |
//! | `market.rs` | the marketplace that is measured |
//! | `orders.rs` | orders in quantity |
//! | `sizes.rs` | how much is done for each figure |
//! | `screen.rs` | the table |

mod figures;
mod market;
mod orders;
mod row;
mod screen;
mod sizes;
mod stages;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum as _};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::load::Meter;
use crate::signals::Signals;
use figures::Figures;
use market::Market;
use row::Row;
use sizes::Sizes;
use stages::Stage;

pub(crate) const AFTER_HELP: &str = "\
It starts a marketplace of its own, in a process and a temporary directory of its own, and touches no other. The settings of the
environment do not reach it. If the machine has no PostgreSQL, it is fetched before. All rows take some 3 minutes in a release
build on 2 cores, and 10 minutes at most: what is not measured by then is said to be missing. Let nothing else run meanwhile.

Examples:
  agora bench                                    the table, as Markdown
  agora bench --list                             which rows there are
  agora bench --only orders pgbench              some of them
  agora bench --json                             for programs

Exit code: 0, 1 if a row could not be measured, 2 if the command line cannot be used.";

/// The time limit of a run. Rows that are left then are not measured.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Gives every product enough stock for the measurement.
const STOCK: &str = "UPDATE products SET available = 1000000";
/// The mode of the directory, which PostgreSQL's user must be able to enter if it belongs to root.
const PASSABLE: u32 = 0o711;

/// Measures what docs/performance.md says.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// Only these rows; --list says which there are.
    #[arg(long, value_name = "ROW", num_args = 1.., value_enum, hide_possible_values = true)]
    only: Vec<Row>,
    /// Say which rows there are, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Print the rows as JSON.
    #[arg(long)]
    json: bool,
    /// Do little for each row: it shows that it can be measured, and its figure says nothing.
    #[arg(long)]
    quick: bool,
}

/// A run: what is measured, how much, and the results.
struct Run {
    market: Market,
    sizes: Sizes,
    figures: Figures,
    first_start: Duration,
    /// Whether connections, statements and caches of the process are ready for load.
    is_warm: bool,
}

/// Does what was asked for.
pub(crate) async fn run(asked: Bench) -> Result<(), Failure> {
    if asked.list {
        return screen::print(&screen::list());
    }
    let rows = asked.rows();
    let mut signals = Signals::listen()?;
    // Removed last, when no process writes to it any more.
    let place = place()?;
    let mut run = Run::new(place.path().join("data"), asked.sizes());
    // Before the time of the rows, and before the meter: it shows by itself how far it is.
    let provided = tokio::select! {
        provided = Market::provide_postgres() => provided,
        _ = signals.next() => return Err(Failure::new("stopped")),
    };
    let (meter, begun) = (Meter::new(), Instant::now());
    let outcome = tokio::select! {
        () = run.measure(provided, &rows, &meter, begun + TIME_MAX) => Ok(()),
        _ = signals.next() => Err(Failure::new("stopped")),
    };
    let stopped = run.market.stop().await;
    meter.end();
    outcome?;
    screen::print(&match asked.json {
        true => screen::json(&rows, &run.figures, begun.elapsed()),
        false => screen::table(&rows, &run.figures),
    })?;
    // A marketplace that has failed is why rows are missing.
    match screen::missing(&rows, &run.figures) {
        Some(missing) => Err(Failure::new(missing)),
        None => stopped,
    }
}

impl Bench {
    /// In the order of the table, each once.
    fn rows(&self) -> Vec<Row> {
        let all = Row::value_variants().iter().copied();
        all.filter(|row| self.only.is_empty() || self.only.contains(row))
            .collect()
    }

    fn sizes(&self) -> Sizes {
        match self.quick {
            true => Sizes::QUICK,
            false => Sizes::FULL,
        }
    }
}

impl Run {
    fn new(data: PathBuf, sizes: Sizes) -> Self {
        Self {
            market: Market::at(data),
            sizes,
            figures: Figures::default(),
            first_start: Duration::ZERO,
            is_warm: false,
        }
    }

    /// Measures these rows until `end`, if there is a PostgreSQL. A row that fails does not prevent the others.
    async fn measure(
        &mut self,
        provided: Result<(), Failure>,
        rows: &[Row],
        meter: &Meter,
        end: Instant,
    ) {
        if let Err(failure) = provided {
            // The lines behind the first one are advice for `agora up`.
            let why = failure.to_string();
            self.figures.fail(rows, why.lines().next().unwrap_or(&why));
            return;
        }
        meter.tell("first start");
        if let Err(failure) = self.open().await {
            self.figures.fail(rows, &failure.to_string());
            return;
        }
        for stage in Stage::ALL {
            if !stage.rows().iter().any(|row| rows.contains(row)) {
                continue;
            }
            meter.tell(stage.about());
            let why = match timeout_at(end, stage.measure(self)).await {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(_) => format!("its {} s are over", TIME_MAX.as_secs()),
            };
            self.figures.fail(stage.rows(), &why);
        }
    }

    /// Starts the marketplace for the first time.
    async fn open(&mut self) -> Result<(), Failure> {
        self.first_start = self.market.start().await?;
        let cannot = |error: sqlx::Error| Failure::new(format!("the stock: {error}"));
        let products = self.market.database("products")?;
        let mut products = PgConnection::connect(&products).await.map_err(cannot)?;
        let stocked = sqlx::query(STOCK).execute(&mut products).await;
        stocked.map_err(cannot)?;
        products.close().await.map_err(cannot)
    }

    /// Restarts the marketplace; returns how long the start took.
    async fn restart(&mut self) -> Result<Duration, Failure> {
        self.is_warm = false;
        self.market.stop().await?;
        self.market.start().await
    }
}

/// A directory for one run.
fn place() -> Result<TempDir, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(format!("there is no place for a data directory: {error}"))
    };
    let place = tempfile::Builder::new().prefix("agora-bench-").tempdir();
    let place = place.map_err(cannot)?;
    let mode = fs::Permissions::from_mode(PASSABLE);
    fs::set_permissions(place.path(), mode).map_err(cannot)?;
    Ok(place)
}
