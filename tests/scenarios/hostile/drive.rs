//! Sends the cases, those that stall side by side, and looks at every answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cases::{Case, Speaks};
use super::client::{Answer, Client};
use super::games::Game;

/// What one client has under way at once: of what is answered, and of what takes its time by itself. All of them
/// together are less than what an unoptimised build on two cores answers in time: load is not what this is about.
const QUICK: usize = 3;
const SLOW: usize = 20;
/// Until what a case did to others is seen.
const LAG: Duration = Duration::from_millis(300);

/// What a hostile client does.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Case(Case),
    Game(Game),
}

impl Deed {
    fn is_slow(&self) -> bool {
        match self {
            Self::Case(case) => case.stalls(),
            Self::Game(_) => true,
        }
    }

    pub(super) fn stalls(&self) -> bool {
        matches!(self, Self::Case(case) if case.stalls())
    }
}

/// One deed, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) number: usize,
    pub(super) deed: Deed,
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) answer: Answer,
}

impl Done {
    /// Why this answer should not be, if so.
    pub(super) fn complaint(&self) -> Option<String> {
        let Deed::Case(case) = &self.deed else {
            return None;
        };
        let fine = match &self.answer {
            Answer::Left => true,
            // The end of a connection is an answer to what is no request, or comes too slowly.
            Answer::None(_) => !case.is_whole(),
            Answer::Late => false,
            Answer::Http {
                status,
                retry_after,
            } => case.may_get(*status, *retry_after),
            Answer::Grpc { code, .. } => case.may_get_code(*code),
        };
        (!fine).then(|| format!("{:?} is no answer to {self}", self.answer))
    }

    /// Whether it was under way at that moment, or just before.
    pub(super) fn is_near(&self, at: Instant) -> bool {
        self.from <= at && at <= self.to + LAG
    }

    /// Whether it was answered as if somebody were at fault.
    pub(super) fn is_loud(&self) -> bool {
        match &self.answer {
            Answer::Http { status, .. } => *status >= 500,
            Answer::Grpc { code, .. } => matches!(code, 2 | 4 | 8 | 13..=15),
            Answer::None(_) | Answer::Late => true,
            Answer::Left => false,
        }
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "case {} ({:?}): {:?}",
            self.number,
            self.to - self.from,
            self.deed
        )
    }
}

/// What was done so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<Done>>>);

impl Journal {
    pub(super) fn all(&self) -> Vec<Done> {
        self.0.lock().clone()
    }

    fn note(&self, done: Done) {
        let mut all = self.0.lock();
        all.push(done);
    }
}

/// Does everything, each deed by one of the clients in turn, until all is done or `enough` says so.
pub(super) async fn all(
    clients: &[Client],
    deeds: &[Deed],
    journal: &Journal,
    enough: impl Fn() -> bool + Send + Sync + 'static,
) {
    let enough = Arc::new(enough);
    let lanes: Vec<_> = clients
        .iter()
        .map(|client| (client, Semaphore::new(QUICK), Semaphore::new(SLOW)))
        .map(|(client, quick, slow)| (client.clone(), Arc::new(quick), Arc::new(slow)))
        .collect();
    let mut tasks = JoinSet::new();
    for (number, deed) in deeds.iter().cloned().enumerate() {
        let (client, quick, slow) = lanes[number % lanes.len()].clone();
        let (journal, enough) = (journal.clone(), Arc::clone(&enough));
        let lane = if deed.is_slow() { slow } else { quick };
        tasks.spawn(async move {
            // In the order of their numbers: a semaphore is fair.
            let _turn = lane.acquire_owned().await;
            if enough() {
                return;
            }
            let from = Instant::now();
            let answer = client.does(&deed).await;
            let to = Instant::now();
            journal.note(Done {
                number,
                deed,
                from,
                to,
                answer,
            });
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a client that does not panic");
    }
}

impl Client {
    async fn does(&self, deed: &Deed) -> Answer {
        match deed {
            Deed::Case(case) if case.speaks == Speaks::Http1 => self.over_http1(case).await,
            Deed::Case(case) => self.over_http2(case).await,
            Deed::Game(game) => match self.play(game).await {
                Ok(_) => Answer::Left,
                Err(why) => Answer::None(why),
            },
        }
    }
}
