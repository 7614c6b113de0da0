//! Tasks that end when they should not.

use std::time::{Duration, Instant};

use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown};

use crate::support::{PATIENCE, log};

/// Adds the task that goes wrong.
type Spawn = fn(&mut Tasks);

const DEADLINE: Duration = Duration::from_secs(10);

async fn join(tasks: Tasks, deadline: Duration) -> Result<(), Fatal> {
    tokio::time::timeout(PATIENCE, tasks.join(deadline))
        .await
        .expect("it ends")
}

#[tokio::test]
async fn a_shutdown_ends_them_all() {
    let shutdown = Shutdown::manual();
    let mut tasks = Tasks::new(shutdown.clone());
    for number in 0..3 {
        let token = shutdown.token();
        tasks.spawn(
            format!("task-{number}"),
            async move { token.cancelled().await },
        );
    }
    shutdown.trigger();
    join(tasks, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn one_that_ends_early_fails_or_panics_stops_the_others_and_is_named() {
    log::init();
    let failures: [(&str, Spawn, &str); 3] = [
        (
            "ends",
            |tasks| tasks.spawn("relay", async {}),
            "relay ended although nobody asked it to",
        ),
        (
            "fails",
            |tasks| {
                tasks.spawn("relay", async {
                    Err::<(), _>(std::io::Error::other("broken"))
                })
            },
            "relay: broken",
        ),
        (
            "panics",
            |tasks| {
                tasks.spawn("relay", async {
                    if true {
                        panic!("ouch")
                    }
                })
            },
            "relay panicked: ouch",
        ),
    ];
    for (what, spawn, expected) in failures {
        let shutdown = Shutdown::manual();
        let mut tasks = Tasks::new(shutdown.clone());
        let token = shutdown.token();
        tasks.spawn("door", async move { token.cancelled().await });
        spawn(&mut tasks);
        let fatal = join(tasks, DEADLINE).await.unwrap_err();
        assert_eq!(fatal.to_string(), expected, "{what}");
        assert!(shutdown.is_triggered());
    }
}

#[tokio::test]
async fn one_that_does_not_stop_is_aborted_at_the_deadline() {
    let shutdown = Shutdown::manual();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn("stubborn", std::future::pending::<()>());
    shutdown.trigger();
    let begun = Instant::now();
    join(tasks, Duration::from_millis(100)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
}
