//! A worker: one pass after another, and how long to wait in between.

use std::sync::Arc;
use std::time::Duration;

use backoff::Backoff;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::holds::Tries;
use super::pass::{self, Outcome};
use super::{RelayOptions, Shared};
use crate::lane::Lanes;
use crate::outbox::Wakes;

/// While the database is away: the first wait, and the longest. Not longer, since each of the pool's dead
/// connections fails once after the database is back.
const DATABASE_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// A lane that has rows and was busy is looked at again after this, then after twice as long, and so on.
const CONTENDED: Duration = Duration::from_millis(2);
/// The pause after a pass that sent nothing because of holds: every commit wakes the relay, and each would cause
/// another such pass.
const FRUITLESS: Duration = Duration::from_millis(100);
/// After a pass beside holds a worker rests for this many times as long as the database looked for rows, or until something may be
/// tried again. Behind a long backlog that is held back it would look, and find nothing, all the time that a broker is away.
const REST: u32 = 4;
/// After a pass that sent something, what is committed within a pause goes together into the next one. A
/// pass costs four round trips to the database whether it moves one row or a hundred; an event that comes
/// after a quiet moment is sent at once all the same.
///
/// The pause is as long as the pass took, within these bounds: the busier the machine, the longer a pass takes, and the more
/// there is to be saved. Not longer than the upper one, since events wait for it.
const GATHER: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(25));

/// What to do before the next pass.
enum Pause {
    None,
    /// Until a wake-up or this time, but at least for this long.
    Until(Instant, Duration),
    /// For this long, whatever wakes it.
    For(Duration),
}

/// Works on `lanes` until `shutdown`; a pass that has begun is finished.
pub(super) async fn run(
    shared: Arc<Shared>,
    lanes: Lanes,
    mut wakes: Wakes,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::new(DATABASE_BACKOFF.0, DATABASE_BACKOFF.1);
    let mut contended = CONTENDED;
    let numbers: Vec<_> = lanes.iter().map(|lane| lane as i16).collect();
    // Nobody told of rows, and none are known to be left.
    let mut is_quiet = false;
    let mut tries = Tries::Again;
    while !shutdown.is_cancelled() {
        // From here on a wake means a row that the pass may not have seen: it must end the next wait.
        wakes.mark_seen();
        let begun = Instant::now();
        let passed = if is_quiet {
            pass::run_if_any(&shared, &numbers, tries, &shutdown).await
        } else {
            pass::run(&shared, &numbers, tries, &shutdown).await
        };
        let all_done = passed.as_ref().is_ok_and(Outcome::is_all_done);
        let pause = match passed {
            Ok(outcome) => {
                backoff.reset();
                tries = next_tries(&outcome, tries, &shared.options);
                tell_of_holds(&shared, lanes, &outcome);
                contended = next_contended(&outcome, contended, shared.options.poll);
                let next_hold = shared.holds.next(Instant::now());
                after(
                    &outcome,
                    &shared.options,
                    next_hold,
                    contended,
                    begun.elapsed(),
                )
            }
            Err(error) => {
                tracing::debug!(%error, "the outbox cannot be read; trying again");
                Pause::For(backoff.next())
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            expects_rows = pause.over(&mut wakes) => is_quiet = all_done && !expects_rows,
        }
    }
}

/// Whether events are held back after a pass over these lanes, and why.
fn tell_of_holds(shared: &Shared, lanes: Lanes, outcome: &Outcome) {
    if outcome.is_empty && shared.holds.note_empty(lanes) {
        shared.publisher.nothing_waits();
    }
    let held = shared.holds.reason(Instant::now());
    shared.status.tell(held.map_or(Ok(()), Err));
}

impl Pause {
    /// Waits until it is over; returns whether rows are to be expected: more were left, or a commit ended it.
    async fn over(self, wakes: &mut Wakes) -> bool {
        match self {
            Self::None => true,
            Self::For(time) => {
                sleep(time).await;
                false
            }
            Self::Until(time, gather) => {
                sleep(gather).await;
                tokio::select! {
                    // A commit at the same moment must not be taken for none.
                    biased;
                    () = wakes.changed() => true,
                    () = sleep_until(time) => false,
                }
            }
        }
    }
}

/// Whether the next pass tries again what has failed: not after a pass that failures may have filled, with other rows unread
/// behind them; never twice in a row, since failures may go on without end.
fn next_tries(outcome: &Outcome, tries: Tries, options: &RelayOptions) -> Tries {
    let may_be_filled = outcome.found >= options.batch || outcome.unfinished;
    if tries == Tries::Again && outcome.failed && may_be_filled {
        Tries::NothingAgain
    } else {
        Tries::Again
    }
}

/// The pause if the next pass meets another relay: twice as long as after this one, if this one did.
fn next_contended(outcome: &Outcome, contended: Duration, poll: Duration) -> Duration {
    if outcome.contended {
        (contended * 2).min(poll)
    } else {
        CONTENDED
    }
}

/// The pause after a pass. `next_hold`: when the first key that is held back may be tried again; `contended`: the pause
/// after a pass that met another relay; `took`: the time of the pass.
fn after(
    outcome: &Outcome,
    options: &RelayOptions,
    next_hold: Option<Instant>,
    contended: Duration,
    took: Duration,
) -> Pause {
    let full = outcome.found >= options.batch;
    if outcome.sent > 0 && (full || outcome.unfinished) {
        return Pause::None;
    }
    let now = Instant::now();
    // A hold can be so short that it has run out by now: then it is in `held_back` only.
    let waiting = full || outcome.held_back || next_hold.is_some();
    let mut retry = next_hold.map_or(FRUITLESS, |until| until.saturating_duration_since(now));
    if outcome.postponed {
        retry = retry.min(FRUITLESS);
    }
    let rest = outcome.looked_for * REST;
    if waiting && outcome.sent == 0 {
        return Pause::For(retry.min(FRUITLESS.max(rest)));
    }
    let mut wait = options.poll;
    if waiting {
        wait = wait.min(retry);
    }
    if outcome.contended {
        wait = wait.min(contended);
    }
    let gather = if outcome.sent > 0 {
        let gathered = took.clamp(GATHER.0, GATHER.1);
        if outcome.held_back {
            gathered.max(rest)
        } else {
            gathered
        }
    } else if outcome.contended {
        // The other relay may hold its lanes for long, and every commit would cause another such pass.
        CONTENDED
    } else {
        Duration::ZERO
    };
    Pause::Until(now + wait, gather.min(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outbox, lane};

    /// How long the relay pauses after a pass in which so many rows were found and sent, if a row is committed
    /// meanwhile.
    async fn pause(found: usize, sent: usize) -> Duration {
        pause_after(found, sent, Duration::ZERO).await
    }

    /// The same after a pass that took that long.
    async fn pause_after(found: usize, sent: usize, took: Duration) -> Duration {
        let outcome = Outcome {
            found,
            sent,
            ..Outcome::default()
        };
        pause_of(&outcome, took).await
    }

    async fn pause_of(outcome: &Outcome, took: Duration) -> Duration {
        let (outbox, lanes) = (Outbox::new(), lane::of_worker(0, 1));
        let mut wakes = outbox.wakes(lanes);
        outbox.wake(lanes);
        let start = Instant::now();
        after(outcome, &RelayOptions::default(), None, CONTENDED, took)
            .over(&mut wakes)
            .await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn commits_do_not_hurry_a_relay_whose_lanes_are_held_by_another() {
        let outcome = Outcome {
            contended: true,
            ..Outcome::default()
        };
        assert_eq!(pause_of(&outcome, Duration::ZERO).await, CONTENDED);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_it_takes_to_read_over_what_is_held_back_the_longer_is_the_rest() {
        let pause = |sent: usize, looked_for: Duration, until_next_try: Duration| {
            let outcome = Outcome {
                found: sent,
                sent,
                held_back: true,
                looked_for,
                ..Outcome::default()
            };
            let next = Some(Instant::now() + until_next_try);
            let options = RelayOptions::default();
            match after(&outcome, &options, next, CONTENDED, Duration::ZERO) {
                Pause::None => Duration::ZERO,
                Pause::Until(_, at_least) | Pause::For(at_least) => at_least,
            }
        };
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(100));
        let later = Duration::from_secs(5);
        assert_eq!(pause(0, short, later), FRUITLESS);
        assert_eq!(pause(0, long, later), long * REST);
        assert_eq!(pause(0, long, long), long, "it is tried again in time");
        assert_eq!(pause(3, short, later), GATHER.0);
        assert_eq!(pause(3, long, later), long * REST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_committed_after_a_quiet_moment_goes_at_once() {
        assert_eq!(pause(0, 0).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_committed_while_rows_are_sent_is_gathered() {
        assert_eq!(pause(3, 3).await, GATHER.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_a_pass_takes_the_more_is_gathered() {
        let took = Duration::from_millis(11);
        assert_eq!(pause_after(3, 3, took).await, took);
        assert_eq!(pause_after(3, 3, took * 10).await, GATHER.1);
        assert_eq!(pause_after(0, 0, took).await, Duration::ZERO);
    }

    #[test]
    fn a_pass_that_failures_have_filled_is_followed_by_one_for_the_others() {
        let options = RelayOptions::default();
        let next = |found, failed, tries| {
            let outcome = Outcome {
                found,
                failed,
                ..Outcome::default()
            };
            next_tries(&outcome, tries, &options)
        };
        let (all, again) = (options.batch, Tries::Again);
        assert_eq!(next(all, true, again), Tries::NothingAgain);
        assert_eq!(next(all, true, Tries::NothingAgain), again);
        assert_eq!(next(all, false, again), again);
        assert_eq!(next(all - 1, true, again), again);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_is_not_paused_for() {
        let batch = RelayOptions::default().batch;
        assert_eq!(pause(batch, batch).await, Duration::ZERO);
    }
}
