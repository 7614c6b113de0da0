//! `/dead-letters`: what this service could not handle, and the way back.
//!
//! ```sh
//! curl 'localhost:8092/dead-letters?type=agora.order.placed.v1&older_than=15m'
//! curl localhost:8092/dead-letters/redrive -H 'content-type: application/json' -d '{"all": true, "dry_run": true}'
//! ```

mod asked;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::extract::{self, Query};
use crate::problem::Problem;
use asked::{List, Redrive};

/// The most letters that one request lists or sends again. What is behind them is reached by a filter, or by the next
/// request when these are settled.
pub const DEAD_LETTERS_MAX: u64 = 1_000;
/// The time limit for the letters of one request. Below the door's deadline, so that the answer is not late.
const WORK_MAX: Duration = Duration::from_secs(10);
/// How long a request waits until the previous one has ended.
const TURN_MAX: Duration = Duration::from_secs(2);

/// The dead letters of a service; a clone is the same. Empty until the service says where they are.
#[derive(Clone, Default)]
pub struct DeadLetters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    office: RwLock<Option<Arc<dyn DeadLetterOffice>>>,
    // One request at a time: on some engines looking at a letter keeps it from everybody else.
    turn: Arc<Mutex<()>>,
}

/// What knows the dead letters of a service. A trait, so that this crate needs to know no engine.
#[async_trait]
pub trait DeadLetterOffice: Send + Sync {
    /// The letters that are meant; nothing changes.
    ///
    /// # Errors
    /// Why they cannot be had now.
    async fn list(&self, which: &Which) -> Result<Listed, String>;

    /// Sends the letters that are meant again, or only counts them.
    ///
    /// # Errors
    /// Why it cannot be done now. What was sent until then stays sent.
    async fn redrive(&self, which: &Which, pace: Pace) -> Result<Redriven, String>;
}

/// The letters that are meant: those that fulfil all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// The topic or queue that it was consumed from, or the place that it lies in.
    pub source: Option<String>,
    /// The consumer group that parked it.
    pub group: Option<String>,
    /// The id of the event, or of the letter.
    pub id: Option<String>,
    /// The type of the event.
    pub event_type: Option<String>,
    /// A part of the reason.
    pub reason: Option<String>,
    /// Parked at least this long ago.
    pub older_than: Option<Duration>,
    /// Parked at most this long ago.
    pub newer_than: Option<Duration>,
    /// The most letters.
    pub limit: u64,
    /// The time limit for all of them.
    pub time_max: Duration,
}

/// How letters are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Only count them.
    pub dry_run: bool,
    /// The most letters in a second; `None` for no limit.
    pub per_second: Option<NonZeroU32>,
}

/// Letters, each as its engine shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listed {
    /// Without their bodies.
    pub dead_letters: Vec<Value>,
    /// Whether a limit ended it, so that there may be more.
    pub more: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Redriven {
    /// Letters that match the conditions.
    pub matched: u64,
    /// Matched letters that were sent again.
    pub settled: u64,
    /// Matched letters that another redrive settled in the meantime.
    pub gone: u64,
    /// Matched letters that stay because their bodies were too large to be parked.
    pub bodyless: u64,
    /// Whether a limit ended it, so that there may be more.
    pub more: bool,
}

impl DeadLetters {
    /// Says where they are.
    pub fn are_in(&self, office: Arc<dyn DeadLetterOffice>) {
        *self.0.office.write() = Some(office);
    }

    fn office(&self) -> Option<Arc<dyn DeadLetterOffice>> {
        self.0.office.read().clone()
    }

    async fn turn(&self) -> Result<OwnedMutexGuard<()>, Problem> {
        let turn = Arc::clone(&self.0.turn).lock_owned();
        let waited = tokio::time::timeout(TURN_MAX, turn).await;
        waited.map_err(|_| {
            Problem::unavailable(TURN_MAX, "another request is at work on the dead letters")
        })
    }

    /// Runs `work` with the dead letters, one request at a time. Without dead letters the result is empty.
    ///
    /// The work runs in a separate task: if the caller disconnects, it is not cancelled between two steps.
    async fn visit<T, F>(
        &self,
        work: impl FnOnce(Arc<dyn DeadLetterOffice>) -> F,
    ) -> Result<T, Problem>
    where
        T: Default + Send + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let Some(office) = self.office() else {
            return Ok(T::default());
        };
        let turn = self.turn().await?;
        let work = work(office);
        let done = tokio::spawn(async move {
            let done = work.await;
            drop(turn);
            done
        });
        let done = done.await.map_err(|error| Problem::internal(&error))?;
        done.map_err(|why| Problem::unavailable(TURN_MAX, why))
    }
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters")
            .field("are_somewhere", &self.office().is_some())
            .finish()
    }
}

pub(super) fn router(letters: DeadLetters) -> Router {
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/redrive", post(redrive))
        .with_state(letters)
}

async fn list(
    State(letters): State<DeadLetters>,
    Query(asked): Query<List>,
) -> Result<impl IntoResponse, Problem> {
    let which = asked.which(WORK_MAX)?;
    let listed = letters
        .visit(|office| async move { office.list(&which).await })
        .await?;
    Ok(fresh(listed))
}

async fn redrive(
    State(letters): State<DeadLetters>,
    extract::Json(asked): extract::Json<Redrive>,
) -> Result<impl IntoResponse, Problem> {
    let (which, pace) = asked.which(WORK_MAX)?;
    let redriven = letters
        .visit(|office| async move { office.redrive(&which, pace).await })
        .await?;
    let mut answer = json!(redriven);
    answer["dry_run"] = json!(pace.dry_run);
    Ok(fresh(answer))
}

fn fresh(body: impl Serialize) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
