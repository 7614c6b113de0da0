//! A server that does 1,000 calls a second, and is asked for 2,000 for a while. Its callers give up after half a
//! second. How many of its answers does anybody still want?
//!
//! ```sh
//! cargo run -p resilience --example load_shedding
//! ```
//!
//! Time is simulated, so it is over at once and prints the same on every machine.
#![allow(clippy::print_stdout, reason = "the time line")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience::ConfigError;
use resilience::load_shed::{Config, LoadShed, LoadShedLayer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

const SECONDS: usize = 10;
/// What the server has, say connections to its database. Each call needs one of them for 10 ms.
const CONNECTIONS: usize = 10;
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Work,
    Health,
}

type Server = BoxCloneService<Request, (), String>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ConfigError> {
    play(
        "without load shedding: all wait, first come first served",
        server(),
        None,
    )
    .await;

    // region: build
    let load_shed = LoadShed::new(Config {
        max_in_flight: CONNECTIONS,
        max_waiting: 200,
        ..Config::default()
    })?;
    let layer = LoadShedLayer::new(load_shed.clone());
    let server_that_sheds = layer
        .exempt(|request: &Request| *request == Request::Health)
        .layer(server());
    // endregion: build
    let server = server_that_sheds.map_err(|error| error.to_string());
    play("with load shedding", server.boxed_clone(), Some(&load_shed)).await;
    Ok(())
}

fn server() -> Server {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    service_fn(move |request| {
        let connections = Arc::clone(&connections);
        async move {
            if request == Request::Work {
                let _connection = connections.acquire().await;
                sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, Infallible>(())
        }
    })
    .map_err(|never| match never {})
    .boxed_clone()
}

fn calls_per_second(second: usize) -> u32 {
    match second {
        2..5 => 2000,
        _ => 500,
    }
}

/// The calls that ended in one second.
#[derive(Debug, Default)]
struct Second {
    in_time: Vec<Duration>,
    too_late: u32,
    refused: u32,
}

async fn play(title: &str, server: Server, load_shed: Option<&LoadShed>) {
    println!("\n{title}");
    println!("second   asked   answered in time   median   too late   refused   waiting");
    let began = Instant::now();
    let seconds = Arc::new(Mutex::new(Vec::from_iter(
        (0..SECONDS).map(|_| Second::default()),
    )));
    for second in 0..SECONDS {
        let asked = calls_per_second(second);
        // The clock of timers ticks once in a millisecond: so many at each tick, or one at each so many.
        let (at_once, each) = (asked.div_ceil(1000), 1000 / asked.min(1000));
        while began.elapsed() < Duration::from_secs(second as u64 + 1) {
            for _ in 0..at_once {
                let (server, seconds) = (server.clone(), Arc::clone(&seconds));
                // The server's own task: it does not know when a caller has gone.
                tokio::spawn(async move {
                    let came = Instant::now();
                    let answer = server.oneshot(Request::Work).await;
                    let at = began.elapsed().as_secs() as usize;
                    if let Some(second) = seconds.lock().get_mut(at) {
                        second.count(answer.is_ok(), came.elapsed());
                    }
                });
            }
            let healthy = server.clone().oneshot(Request::Health).await.is_ok();
            assert!(healthy, "a busy server is not a sick one");
            sleep(Duration::from_millis(each.into())).await;
        }
        print_second(second, &mut seconds.lock()[second], load_shed);
    }
}

impl Second {
    fn count(&mut self, answered: bool, took: Duration) {
        match answered {
            true if took <= PATIENCE => self.in_time.push(took),
            true => self.too_late += 1,
            false => self.refused += 1,
        }
    }
}

fn print_second(second: usize, now: &mut Second, load_shed: Option<&LoadShed>) {
    now.in_time.sort_unstable();
    let median = now.in_time.get(now.in_time.len() / 2);
    println!(
        "{second:>6} {:>7} {:>18} {:>8} {:>10} {:>9} {:>9}",
        calls_per_second(second),
        now.in_time.len(),
        median.map_or_else(|| "-".to_owned(), |m| format!("{} ms", m.as_millis())),
        now.too_late,
        now.refused,
        load_shed.map_or_else(|| "-".to_owned(), |l| l.snapshot().waiting.to_string()),
    );
}
