//! A dependency that fails now and then, dies and comes back: what retries save and what they cost, without them, with
//! them, and with a budget.
//!
//! `cargo run -p resilience --example retries` takes nine seconds.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use rand::Rng;
use resilience::ConfigError;
use resilience::deadline::DeadlineLayer;
use resilience::retry::{
    Budget, BudgetConfig, Failed, HttpPolicy, RetryConfig, RetryLayer, clone_body,
};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep_until};
use tower::{Layer, Service, ServiceExt, service_fn};

const BETWEEN_CALLS: Duration = Duration::from_millis(5);
const ROW: Duration = Duration::from_millis(500);
const ROWS: u32 = 18;

/// What can go wrong below HTTP; real clients have richer types.
#[derive(Debug)]
enum Broken {
    Refused,
    Reset,
}

// region: errors
fn sorted(error: &Broken) -> Failed {
    match error {
        Broken::Refused => Failed::Unsent,
        Broken::Reset => Failed::Broken,
    }
}
// endregion: errors

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ConfigError> {
    LocalSet::new().run_until(watch()).await
}

async fn watch() -> Result<(), ConfigError> {
    let start = Instant::now();
    let lanes = [Lane::default(), Lane::default(), Lane::default()];
    let [bare, flooded, dependency] = lanes.clone().map(|lane| {
        let arrived = lane.arrived;
        service_fn(move |_: Request<&str>| {
            arrived.set(arrived.get() + 1);
            std::future::ready(answer(start.elapsed()))
        })
    });

    // region: build
    let budget = Budget::new(BudgetConfig::default())?;
    let policy = HttpPolicy::new(sorted, clone_body);
    let retries = RetryLayer::new(policy, RetryConfig::default(), budget)?;
    let stats = retries.stats();
    let client = DeadlineLayer::new(Duration::from_secs(1)).layer(retries.layer(dependency));
    // endregion: build

    // As good as no budget.
    let unlimited = BudgetConfig {
        percent: 100,
        min_per_second: 1000,
        ..BudgetConfig::default()
    };
    let policy = HttpPolicy::new(sorted, clone_body);
    let greedy =
        RetryLayer::new(policy, RetryConfig::default(), Budget::new(unlimited)?)?.layer(flooded);

    spawn_local(call_steadily(bare, lanes[0].clone()));
    spawn_local(call_steadily(greedy, lanes[1].clone()));
    spawn_local(call_steadily(client, lanes[2].clone()));

    println!(
        "100 calls in each row. `arrived` is what the dependency sees of them, retries included.\n"
    );
    println!(
        "                        no retries       3 attempts       3 attempts, budget of 10 %"
    );
    println!("   time  it            failed arrived   failed arrived   failed arrived  refused");
    let mut refused = 0;
    for row in 1..=ROWS {
        let state = state(start.elapsed()).0;
        sleep_until(start + ROW * row).await;
        let time = start.elapsed().as_secs_f32();
        let rows = lanes.each_ref().map(Lane::row).join("  ");
        let snapshot = stats.snapshot();
        let refused_now = snapshot.budget_exhausted - refused;
        refused = snapshot.budget_exhausted;
        println!("  {time:.1} s  {state:10}  {rows}  {refused_now:7}");
    }
    let saved = stats.snapshot().retried_successes;
    println!(
        "\nThe last client's retries saved {saved} calls; when all fail, its budget keeps them to a tenth."
    );
    Ok(())
}

/// What the dependency is, and how many of a hundred calls it fails.
fn state(elapsed: Duration) -> (&'static str, u32) {
    match elapsed.as_millis() {
        2000..4000 => ("fails 5 %", 5),
        4000..7000 => ("is dead", 100),
        _ => ("is fine", 0),
    }
}

fn answer(elapsed: Duration) -> Result<Response<&'static str>, Broken> {
    let mut rng = rand::rng();
    if rng.random_range(0..100) >= state(elapsed).1 {
        return Ok(Response::new("answer"));
    }
    match rng.random_range(0..3) {
        0 => Err(Broken::Refused),
        1 => Err(Broken::Reset),
        _ => {
            let mut away = Response::new("");
            *away.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok(away)
        }
    }
}

/// Calls at a steady rate, without waiting for answers, as users do.
async fn call_steadily<S>(client: S, lane: Lane)
where
    S: Service<Request<&'static str>, Response = Response<&'static str>> + Clone + 'static,
{
    let mut clock = interval(BETWEEN_CALLS);
    loop {
        clock.tick().await;
        let (client, lane) = (client.clone(), lane.clone());
        spawn_local(async move {
            let result = client.oneshot(Request::new("")).await;
            if !result.is_ok_and(|answer| answer.status().is_success()) {
                lane.failed.set(lane.failed.get() + 1);
            }
        });
    }
}

/// One client: calls of its that failed, and attempts that arrived.
#[derive(Clone, Default)]
struct Lane {
    failed: Rc<Cell<u32>>,
    arrived: Rc<Cell<u32>>,
}

impl Lane {
    /// What there was since the last row.
    fn row(&self) -> String {
        format!("{:7} {:7}", self.failed.take(), self.arrived.take())
    }
}
