//! A dependency that is well, and is broken on purpose: slow, failing, hanging, mended. Its caller gives up after
//! half a second.
//!
//! ```sh
//! cargo run -p resilience --example faults
//! ```
//!
//! Time is simulated and chance has a seed, so it is over at once and prints the same on every machine.
#![allow(clippy::print_stdout, reason = "the time line")]

use std::time::Duration;

use resilience::ConfigError;
use resilience::fault::{FaultLayer, Faults, Kind, Rule};
use resilience::timeout::{TimeoutError, TimeoutLayer};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Orders = BoxCloneService<(), (), TimeoutError<&'static str>>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ConfigError> {
    // region: build
    let faults = Faults::seeded(42);
    let orders = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_millis(500)))
        // Innermost: the timeout meets the fault as it would meet a real one.
        .layer(FaultLayer::new(faults.clone(), "orders", || Err("503")))
        .service(service_fn(|()| async {
            sleep(Duration::from_millis(10)).await;
            Ok(())
        }))
        .boxed_clone();
    // endregion: build

    println!("100 calls each         answered   failed   gave up   slowest answer");
    play("well", &orders).await;

    // region: break
    let rule = |percent, kind| Rule {
        target: "orders".to_owned(),
        percent,
        kind,
    };
    faults.set(vec![rule(50, Kind::Delay(Duration::from_millis(300)))])?;
    play("half are slow", &orders).await;
    faults.set(vec![rule(30, Kind::Fail)])?;
    play("a third fails", &orders).await;
    faults.set(vec![rule(20, Kind::Hang)])?;
    play("a fifth hangs", &orders).await;
    faults.clear();
    play("mended", &orders).await;
    // endregion: break
    Ok(())
}

async fn play(title: &str, orders: &Orders) {
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let orders = orders.clone();
        calls.spawn(async move {
            let began = Instant::now();
            (orders.oneshot(()).await, began.elapsed())
        });
    }
    let (mut answered, mut failed, mut gave_up) = (0, 0, 0);
    let mut slowest = Duration::ZERO;
    for (result, took) in calls.join_all().await {
        match result {
            Ok(()) => {
                answered += 1;
                slowest = slowest.max(took);
            }
            Err(TimeoutError::Inner(_)) => failed += 1,
            Err(TimeoutError::TimedOut(_)) => gave_up += 1,
        }
    }
    let slowest = slowest.as_millis();
    println!("{title:<18} {answered:>12} {failed:>8} {gave_up:>9} {slowest:>13} ms");
}
