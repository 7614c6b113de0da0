//! A dependency that slows, dies and comes back: what its callers hold meanwhile, without bounds and with them.
//!
//! `cargo run -p resilience --example timeouts` takes six seconds.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{Request, Response};
use resilience::deadline::wire::{TIMEOUT_HEADER, http_timeout, parse_http_timeout};
use resilience::deadline::{Deadline, DeadlineLayer};
use resilience::timeout::TimeoutLayer;
use tokio::time::{Instant, interval, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

const BETWEEN_CALLS: Duration = Duration::from_millis(20);
const ROW: Duration = Duration::from_millis(500);
const ROWS: u32 = 12;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let start = Instant::now();
    let dependency = service_fn(move |request| answer(request, start));
    let bare = dependency;

    // region: build
    let client = DeadlineLayer::new(Duration::from_millis(400))
        .layer(TimeoutLayer::new(Duration::from_millis(300)).layer(dependency.map_request(tell)));
    // endregion: build

    println!("50 calls a second. Waiting are the calls, and their connections, held at the time.");
    println!(
        "Bounded is a timeout of 300 ms for an attempt in a deadline of 400 ms for the call.\n"
    );
    println!("                        unbounded                    bounded");
    println!("   time  it is     answers  failed  waiting     answers  failed  waiting");
    let (without, with) = (Tally::default(), Tally::default());
    let load = [
        tokio::spawn(call_steadily(bare, without.clone())),
        tokio::spawn(call_steadily(client, with.clone())),
    ];
    for row in 1..=ROWS {
        let (state, _) = state(start.elapsed());
        tokio::time::sleep_until(start + ROW * row).await;
        let time = start.elapsed().as_secs_f32();
        println!(
            "  {time:.1} s  {state:6}  {}    {}",
            without.row(),
            with.row()
        );
    }
    load.iter().for_each(tokio::task::JoinHandle::abort);
    println!("\nWho calls a service that hangs hangs with it, unless it gives up.");
}

/// What the dependency does, and how long it takes.
fn state(elapsed: Duration) -> (&'static str, Duration) {
    match elapsed.as_millis() {
        1500..3000 => ("slow", Duration::from_secs(2)),
        3000..4500 => ("dead", Duration::from_secs(3600)),
        _ => ("fine", Duration::from_millis(20)),
    }
}

/// The caller's side of the wire: what is left goes along.
fn tell<B>(mut request: Request<B>) -> Request<B> {
    // region: caller
    if let Some(deadline) = Deadline::current() {
        let left = http_timeout(deadline.remaining());
        request.headers_mut().insert(TIMEOUT_HEADER, left);
    }
    // endregion: caller
    request
}

/// The callee's side: its work ends when nobody waits for it any more.
async fn answer(
    request: Request<()>,
    start: Instant,
) -> Result<Response<&'static str>, Infallible> {
    const OWN_BOUND: Duration = Duration::from_secs(7200);
    let work = sleep(state(start.elapsed()).1);
    // region: callee
    let told = request.headers().get(TIMEOUT_HEADER);
    let told = told.and_then(parse_http_timeout);
    let left = told.map_or(OWN_BOUND, |left| left.min(OWN_BOUND));
    let done = timeout(left, Deadline::after(left).scope(work)).await;
    // endregion: callee
    Ok(Response::new(done.map_or("gave up", |()| "done")))
}

/// Calls at a steady rate, without waiting for answers, as users do.
async fn call_steadily<S>(client: S, tally: Tally)
where
    S: Service<Request<()>, Future: Send> + Clone + Send + 'static,
    S::Error: Send,
    S::Response: Send,
{
    let mut clock = interval(BETWEEN_CALLS);
    loop {
        clock.tick().await;
        let (client, tally) = (client.clone(), tally.clone());
        tokio::spawn(async move {
            tally.waiting.fetch_add(1, Relaxed);
            let result = client.oneshot(Request::new(())).await;
            tally.waiting.fetch_sub(1, Relaxed);
            let counter = if result.is_ok() {
                &tally.answers
            } else {
                &tally.failed
            };
            counter.fetch_add(1, Relaxed);
        });
    }
}

#[derive(Clone, Default)]
struct Tally {
    answers: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    waiting: Arc<AtomicU64>,
}

impl Tally {
    /// What there was since the last row.
    fn row(&self) -> String {
        let (answers, failed) = (self.answers.swap(0, Relaxed), self.failed.swap(0, Relaxed));
        let waiting = self.waiting.load(Relaxed);
        format!("{answers:8} {failed:7} {waiting:8}")
    }
}
