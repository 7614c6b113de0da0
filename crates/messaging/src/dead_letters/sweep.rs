//! Going through the places of a store, letter by letter.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{DeadLetter, DeadLetterStore, Filter, Settled, Visit};
use crate::MessagingError;

/// The most letters of one place that a sweep looks at. Those behind them are reached when these are settled.
pub const LOOKED_AT_MAX: u64 = 100_000;

/// What to do with the letters that pass the filter.
pub enum Act<'a> {
    /// Nothing.
    Look,
    /// Send them again.
    Redrive,
    /// Only find out which of them could be sent again.
    Rehearse,
    /// Drop them, each after this has kept it. An error ends the sweep, and the letter stays.
    Drop(Keep<'a>),
}

/// Keeps a letter somewhere else.
pub type Keep<'a> = &'a mut (dyn FnMut(&DeadLetter) -> Result<(), MessagingError> + Send);

/// Told of each letter that passed the filter, and what became of it: nothing when it was only looked at.
pub type Progress<'a> = &'a mut (dyn FnMut(&DeadLetter, Option<Settled>) + Send);

/// A filter with its limits.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Which letters are meant.
    pub filter: Filter,
    /// At most so many of them. Those that a redrive leaves, since they have no body, do not count.
    pub limit: u64,
    /// At most so many are settled in a second.
    pub per_second: Option<NonZeroU32>,
    /// No further letter is taken after this time.
    pub time_max: Option<Duration>,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Letters that passed the filter.
    pub matched: u64,
    /// Those of them that are settled now.
    pub settled: u64,
    /// Those of them that somebody else has settled meanwhile.
    pub gone: u64,
    /// Those of them that stay because their bodies were too large to be parked: they cannot be sent again.
    pub bodyless: u64,
    /// Whether a limit ended it, so there may be more.
    pub more: bool,
    /// Whether letters of some place could not be looked at, since too many that are not meant stand before them. Then
    /// `more` is true as well. They are reached when some of those are settled.
    pub cut: bool,
}

impl Sweep {
    /// Goes through all places, the oldest letter of each first, and stops at the limit.
    ///
    /// It can be ended at any time, a kill included, and begun again: what was settled is not met again.
    ///
    /// # Errors
    /// The first error of the engine. What was done until then stays done.
    pub async fn run<'a>(
        &'a self,
        store: &'a dyn DeadLetterStore,
        act: Act<'a>,
        progress: Progress<'a>,
    ) -> Result<Swept, MessagingError> {
        self.run_over([store], act, progress).await
    }

    /// [`Sweep::run`] over several stores, with one limit for all.
    ///
    /// # Errors
    /// As for one of them.
    pub async fn run_over<'a>(
        &'a self,
        stores: impl IntoIterator<Item = &'a dyn DeadLetterStore, IntoIter: Send>,
        act: Act<'a>,
        progress: Progress<'a>,
    ) -> Result<Swept, MessagingError> {
        let mut walk = Walk {
            sweep: self,
            act,
            progress,
            pace: self.per_second.map(pace),
            ends: self.time_max.map(|time_max| Instant::now() + time_max),
            is_over: false,
            swept: Swept::default(),
        };
        for store in stores {
            self.go_through(store, &mut walk).await?;
            if walk.is_over {
                break;
            }
        }
        Ok(walk.swept)
    }

    async fn go_through(
        &self,
        store: &dyn DeadLetterStore,
        walk: &mut Walk<'_>,
    ) -> Result<(), MessagingError> {
        for place in store.places().await? {
            if !self.may_hold(&place) {
                continue;
            }
            let mut visit = store.visit(&place).await?;
            let result = walk.through(visit.as_mut()).await;
            visit.leave().await;
            result?;
            if walk.is_over {
                break;
            }
        }
        Ok(())
    }

    /// Whether letters of the wanted source can lie there: the name of a place begins with it.
    fn may_hold(&self, place: &str) -> bool {
        let source = self.filter.source.as_deref();
        source.is_none_or(|source| place.starts_with(source))
    }
}

/// The first one at once, and no catching up after a pause.
fn pace(per_second: NonZeroU32) -> Interval {
    // More than 10⁹ a second would be a period of 0, and a timer has none.
    let period = (Duration::from_secs(1) / per_second.get()).max(Duration::from_nanos(1));
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

struct Walk<'a> {
    sweep: &'a Sweep,
    act: Act<'a>,
    progress: Progress<'a>,
    pace: Option<Interval>,
    ends: Option<Instant>,
    /// A limit of the whole sweep is reached.
    is_over: bool,
    swept: Swept,
}

impl Walk<'_> {
    async fn through(&mut self, visit: &mut dyn Visit) -> Result<(), MessagingError> {
        let mut looked_at = 0;
        while let Some(letter) = visit.next().await? {
            if looked_at == LOOKED_AT_MAX {
                self.cut();
                return Ok(());
            }
            if self.ends.is_some_and(|end| Instant::now() >= end) {
                self.end();
                return Ok(());
            }
            looked_at += 1;
            if !self.sweep.filter.matches(&letter) {
                continue;
            }
            // Those that stay in a redrive are met again each time, and would keep it from the others.
            if self.swept.matched - self.swept.bodyless == self.sweep.limit {
                self.end();
                return Ok(());
            }
            self.swept.matched += 1;
            let settled = self.settle(visit, &letter).await?;
            match settled {
                Some(Settled::Done) => self.swept.settled += 1,
                Some(Settled::Gone) => self.swept.gone += 1,
                Some(Settled::Bodyless) => self.swept.bodyless += 1,
                None => {}
            }
            (self.progress)(&letter, settled);
        }
        if visit.is_cut() {
            self.cut();
        }
        Ok(())
    }

    /// Notes that this place has more than can be looked at. The next one may have what is meant.
    fn cut(&mut self) {
        self.swept.cut = true;
        self.swept.more = true;
    }

    fn end(&mut self) {
        self.is_over = true;
        self.swept.more = true;
    }

    async fn settle(
        &mut self,
        visit: &mut dyn Visit,
        letter: &DeadLetter,
    ) -> Result<Option<Settled>, MessagingError> {
        if matches!(self.act, Act::Redrive | Act::Rehearse) && letter.body_bytes.is_some() {
            // A handler would get an empty body for the one that it could not read.
            return Ok(Some(Settled::Bodyless));
        }
        if let (Some(pace), Act::Redrive | Act::Drop(_)) = (&mut self.pace, &self.act) {
            pace.tick().await;
        }
        Ok(match &mut self.act {
            Act::Look | Act::Rehearse => None,
            Act::Redrive => Some(visit.redrive(letter).await?),
            Act::Drop(keep) => {
                // Kept first: what is dropped cannot be had back from the engine.
                keep(letter)?;
                Some(visit.discard(letter).await?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::Message;
    use crate::dead_letter::BODY_BYTES;
    use crate::dead_letters::Position;

    const PLACES: [&str; 2] = ["crowded.dead", "jobs.dead"];
    /// Letters of a place that a visit can hold.
    const HELD: i64 = 3;

    /// Has four letters in each place, of which a visit can hold three. The first one has lost its body.
    struct Crowded;

    struct Cut(&'static str, i64);

    #[async_trait]
    impl DeadLetterStore for Crowded {
        async fn places(&self) -> Result<Vec<String>, MessagingError> {
            Ok(PLACES.map(str::to_owned).to_vec())
        }

        async fn count(&self, _: &str) -> Result<u64, MessagingError> {
            Ok(4)
        }

        async fn visit(&self, place: &str) -> Result<Box<dyn Visit>, MessagingError> {
            let known = PLACES.into_iter().find(|known| *known == place);
            let place = known.ok_or_else(|| MessagingError::Name(place.to_owned()))?;
            Ok(Box::new(Cut(place, 0)))
        }
    }

    #[async_trait]
    impl Visit for Cut {
        async fn next(&mut self) -> Result<Option<DeadLetter>, MessagingError> {
            if self.is_cut() {
                return Ok(None);
            }
            self.1 += 1;
            let position = Position::Row(self.1);
            let message = match self.1 {
                1 => Message::default().with_header(BODY_BYTES, "5000000"),
                _ => Message::new("x"),
            };
            Ok(Some(DeadLetter::new(self.0, position, message)))
        }

        fn is_cut(&self) -> bool {
            self.1 == HELD
        }

        async fn redrive(&mut self, _: &DeadLetter) -> Result<Settled, MessagingError> {
            Ok(Settled::Gone)
        }

        async fn discard(&mut self, _: &DeadLetter) -> Result<Settled, MessagingError> {
            Ok(Settled::Gone)
        }

        async fn leave(self: Box<Self>) {}
    }

    fn up_to(limit: u64) -> Sweep {
        Sweep {
            filter: Filter::default(),
            limit,
            per_second: None,
            time_max: None,
        }
    }

    async fn looked(limit: u64) -> Swept {
        let sweep = up_to(limit);
        let mut nothing = |_: &DeadLetter, _: Option<Settled>| {};
        sweep.run(&Crowded, Act::Look, &mut nothing).await.unwrap()
    }

    #[tokio::test]
    async fn what_cannot_be_sent_again_keeps_a_redrive_from_nothing() {
        for (rehearses, gone) in [(false, 1), (true, 0)] {
            let sweep = up_to(1);
            let act = match rehearses {
                true => Act::Rehearse,
                false => Act::Redrive,
            };
            let mut nothing = |_: &DeadLetter, _: Option<Settled>| {};
            let swept = sweep.run(&Crowded, act, &mut nothing).await.unwrap();
            let found = (swept.matched, swept.bodyless, swept.gone, swept.more);
            assert_eq!(found, (2, 1, gone, true));
        }
    }

    #[tokio::test]
    async fn any_rate_can_be_kept() {
        for per_second in [NonZeroU32::MIN, NonZeroU32::MAX] {
            pace(per_second).tick().await;
        }
    }

    #[tokio::test]
    async fn a_place_that_is_cut_is_told_and_the_next_one_is_looked_at() {
        let swept = looked(u64::MAX).await;
        assert_eq!((swept.matched, swept.more, swept.cut), (6, true, true));
        let swept = looked(2).await;
        assert_eq!((swept.matched, swept.more, swept.cut), (2, true, false));
    }
}
