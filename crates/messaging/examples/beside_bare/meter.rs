//! Load on one side, and what it makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messaging::{Delivery, Handler, HandlerError, Message};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::AnyError;

/// Callers that send at the same time, each of which waits for the broker's confirmation.
pub(crate) const PUBLISHERS: usize = 256;
/// Messages between sending and handling, at most. Publishers wait for the consumer beyond that, so that what is measured is
/// the whole way and not a backlog that grows.
const ON_THE_WAY: usize = 1024;
/// Bytes of a message's body: a small event.
const BODY_BYTES: usize = 300;
/// Different keys.
const KEYS: u32 = 1000;
/// The rate at which latency is measured: far from what any of them can take.
const CALM_PER_SECOND: u32 = 500;
/// How long a message may wait for room, and the last ones of a round may take to be handled.
const PATIENCE: Duration = Duration::from_secs(30);

/// One way to send; what it sends comes back to the meter.
pub(crate) trait Side: Send + Sync + 'static {
    /// Returns when the broker has the message.
    fn send(&self, message: Message) -> impl Future<Output = Result<(), AnyError>> + Send;
}

/// What one side did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Without a pause, from the first sending to the last handling.
    pub(crate) per_second: f64,
    /// From sending to handling at [`CALM_PER_SECOND`].
    pub(crate) p99_ms: f64,
}

/// Makes messages and notes when they are handled. Messages of an earlier round, and those that come again, do not count.
pub(crate) struct Meter {
    start: Instant,
    sent: AtomicU32,
    room: Semaphore,
    round: Mutex<Round>,
}

#[derive(Default)]
struct Round {
    number: u32,
    handled: Vec<bool>,
    took: Vec<Duration>,
    /// When the last one was handled, since the meter's start.
    last: Duration,
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            sent: AtomicU32::new(0),
            room: Semaphore::new(ON_THE_WAY),
            round: Mutex::default(),
        })
    }

    /// Both figures of a side, each measured for this long.
    pub(crate) async fn measure<S: Side>(
        self: &Arc<Self>,
        side: &Arc<S>,
        time: Duration,
    ) -> Result<Figures, AnyError> {
        Ok(Figures {
            per_second: self.without_a_pause(side, time).await?,
            p99_ms: self.calmly(side, time).await?,
        })
    }

    /// Messages a second of [`PUBLISHERS`] callers.
    async fn without_a_pause<S: Side>(
        self: &Arc<Self>,
        side: &Arc<S>,
        time: Duration,
    ) -> Result<f64, AnyError> {
        self.begin();
        let (begun, mut publishers) = (self.start.elapsed(), JoinSet::new());
        for _ in 0..PUBLISHERS {
            let (meter, side) = (Arc::clone(self), Arc::clone(side));
            publishers.spawn(async move {
                while meter.start.elapsed() < begun + time {
                    let message = meter.message().await?;
                    side.send(message).await?;
                }
                Ok::<_, AnyError>(())
            });
        }
        let round = self.end(publishers).await?;
        let took = round.last.saturating_sub(begun);
        Ok(round.took.len() as f64 / took.as_secs_f64())
    }

    /// The 99th percentile of the time from sending to handling, in milliseconds, when messages come one by one.
    async fn calmly<S: Side>(
        self: &Arc<Self>,
        side: &Arc<S>,
        time: Duration,
    ) -> Result<f64, AnyError> {
        self.begin();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / CALM_PER_SECOND);
        let mut publishers = JoinSet::new();
        for _ in 0..(time.as_secs_f64() * f64::from(CALM_PER_SECOND)) as u32 {
            ticks.tick().await;
            let (message, side) = (self.message().await?, Arc::clone(side));
            publishers.spawn(async move { side.send(message).await });
        }
        let mut took = self.end(publishers).await?.took;
        took.sort_unstable();
        let p99 = took.get(took.len() * 99 / 100).copied();
        Ok(p99.unwrap_or_default().as_secs_f64() * 1e3)
    }

    fn begin(&self) {
        let mut round = self.round.lock();
        *round = Round {
            number: round.number + 1,
            ..Round::default()
        };
        self.sent.store(0, Ordering::Relaxed);
    }

    /// Waits until all was sent, and all of it handled.
    async fn end(&self, mut publishers: JoinSet<Result<(), AnyError>>) -> Result<Round, AnyError> {
        while let Some(published) = publishers.join_next().await {
            published??;
        }
        let sent = self.sent.load(Ordering::Relaxed) as usize;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(round) = self.finished(sent) {
                return Ok(round);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let handled = self.round.lock().took.len();
        Err(format!("{handled} of {sent} messages were handled").into())
    }

    /// The round, if so many were handled.
    fn finished(&self, sent: usize) -> Option<Round> {
        let mut round = self.round.lock();
        if round.took.len() < sent {
            return None;
        }
        let over = Round {
            number: round.number,
            ..Round::default()
        };
        Some(std::mem::replace(&mut round, over))
    }

    /// The next message of the round, when there is room for it. Its body begins with round, number and time.
    async fn message(&self) -> Result<Message, AnyError> {
        let room = tokio::time::timeout(PATIENCE, self.room.acquire()).await;
        let room = room.map_err(|_late| "no message is handled any more: is the consumer gone?")?;
        room?.forget();
        let n = self.sent.fetch_add(1, Ordering::Relaxed);
        let mut body = Vec::with_capacity(BODY_BYTES);
        body.extend(self.round.lock().number.to_le_bytes());
        body.extend(n.to_le_bytes());
        body.extend(nanos(self.start.elapsed()).to_le_bytes());
        body.resize(BODY_BYTES, b'x');
        Ok(Message::new(body)
            .with_key(format!("key-{}", n % KEYS))
            .with_header("ce_id", format!("{n:036}"))
            .with_header("ce_type", "sensor.measured.v1")
            .with_header("content-type", "application/octet-stream"))
    }

    /// Notes that a message is handled: all that a handler does here, on both sides.
    pub(crate) fn handled(&self, body: &[u8]) {
        let now = self.start.elapsed();
        let Some((of_round, n, sent)) = stamp(body) else {
            return;
        };
        let mut round = self.round.lock();
        if round.number != of_round {
            return;
        }
        if round.handled.len() <= n {
            round.handled.resize(n + 1, false);
        }
        if !std::mem::replace(&mut round.handled[n], true) {
            round.took.push(now.saturating_sub(sent));
            round.last = now;
            self.room.add_permits(1);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Round, number and time of sending.
fn stamp(body: &[u8]) -> Option<(u32, usize, Duration)> {
    let (round, rest) = body.split_first_chunk()?;
    let (n, rest) = rest.split_first_chunk()?;
    let (sent, _) = rest.split_first_chunk()?;
    let n = usize::try_from(u32::from_le_bytes(*n)).ok()?;
    let sent = Duration::from_nanos(u64::from_le_bytes(*sent));
    Some((u32::from_le_bytes(*round), n, sent))
}

/// The handler of our side.
pub(crate) struct Handled(pub(crate) Arc<Meter>);

#[async_trait]
impl Handler for Handled {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.0.handled(&delivery.message.payload);
        Ok(())
    }
}
