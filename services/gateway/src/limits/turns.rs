//! Turns: how many requests of one client are processed at once.
//!
//! The services behind handle a limited number of calls at a time (bulkheads, database connections), and the client with the
//! most concurrent requests would get all of them. So each client has a number of places for each part of the API. Its further
//! requests wait in order, within their deadlines, and a client waits only for itself here; clients at one site share what the site
//! has ([`super::shares`]). The alternative, a bulkhead for each client and peer, would refuse the burst of an honest client.
//!
//! Requests differ in cost: 64 concurrent lists of 240 kB take as much CPU as thousands of small answers, and delay all other
//! clients. The cost of an answer is only known afterwards, so the number of places follows the answers, as TCP's congestion
//! window follows the acknowledgements (RFC 5681): a quarter of the places at first, one more for each small answer, and after
//! a large one as many as have [`TOGETHER`] bytes together.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The number of lines; clients that hash to one line share its places. About 250 kB in all.
const LINES: usize = 1 << 12;
/// The most bytes of a client's concurrent answers together.
const TOGETHER: u64 = 1 << 20;
/// A client begins with one in this many of its places.
const FIRST: u32 = 4;
/// A client keeps one in this many of its places, however large its answers are.
const FEWEST: u32 = 16;

/// The lines of all clients: bounded by construction, as the slots of [`super::Limiter`], and for the same reason.
pub(crate) struct Turns {
    lines: Box<[Line]>,
    /// The most places of a line.
    most: u32,
    hasher: RandomState,
}

/// One line: its free places, and the present number of places.
struct Line {
    free: Semaphore,
    places: Mutex<u32>,
}

/// A place, until it is dropped.
pub(crate) struct Turn<'a> {
    permit: SemaphorePermit<'a>,
    line: &'a Line,
    most: u32,
}

impl Turns {
    /// `most` places for each client, if its answers are small.
    pub(crate) fn new(most: NonZeroU32) -> Self {
        let most = most.get();
        let first = most.div_ceil(FIRST);
        let line = || Line {
            free: Semaphore::new(first as usize),
            places: Mutex::new(first),
        };
        Self {
            lines: std::iter::repeat_with(line).take(LINES).collect(),
            most,
            hasher: RandomState::new(),
        }
    }

    /// Waits for a place of this client. `None` if the line is closed, which does not happen.
    pub(crate) async fn turn(&self, client: impl Hash) -> Option<Turn<'_>> {
        // The remainder is below LINES.
        let line = (self.hasher.hash_one(client) % LINES as u64) as usize;
        let line = self.lines.get(line)?;
        Some(Turn {
            permit: line.free.acquire().await.ok()?,
            line,
            most: self.most,
        })
    }
}

impl Turn<'_> {
    /// Ends the turn with an answer of this many bytes.
    pub(crate) fn answered(self, bytes: u64) {
        let Self { permit, line, most } = self;
        let fit = TOGETHER.checked_div(bytes).unwrap_or(u64::MAX);
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        let fit = fit.clamp(most.div_ceil(FEWEST), most);
        let mut places = line.places.lock();
        if fit > *places {
            line.free.add_permits(1);
            *places += 1;
        } else if fit < *places {
            // Removes this place and free ones; places in use are removed after their next large answer.
            permit.forget();
            let others = line.free.forget_permits((*places - fit - 1) as usize);
            *places -= 1 + u32::try_from(others).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn turns(most: u32) -> Turns {
        Turns::new(NonZeroU32::new(most).unwrap())
    }

    /// As many turns of this client as there are now.
    fn all(turns: &Turns, client: u32) -> Vec<Turn<'_>> {
        let next = || turns.turn(client).now_or_never().flatten();
        std::iter::from_fn(next).collect()
    }

    /// The next answer of this client is of so many bytes.
    fn answer(turns: &Turns, client: u32, bytes: u64) {
        let turn = turns.turn(client).now_or_never().flatten();
        turn.unwrap().answered(bytes);
    }

    #[test]
    fn a_client_waits_for_itself_only() {
        let turns = turns(8);
        let line = |client: u32| turns.hasher.hash_one(client) % LINES as u64;
        let other = (1..100).find(|other| line(*other) != line(0)).unwrap();
        let mut own = all(&turns, 0);
        assert_eq!(own.len(), 2, "a quarter");
        let mut third = Box::pin(turns.turn(0));
        assert!(third.as_mut().now_or_never().is_none(), "it has two places");
        assert_eq!(all(&turns, other).len(), 2);
        drop(own.pop());
        assert!(third.now_or_never().flatten().is_some());
    }

    #[test]
    fn small_answers_bring_places_and_large_ones_take_them() {
        let turns = turns(64);
        assert_eq!(all(&turns, 0).len(), 16);
        for _ in 0..100 {
            answer(&turns, 0, 1_000);
        }
        assert_eq!(all(&turns, 0).len(), 64);
        answer(&turns, 0, TOGETHER / 32);
        assert_eq!(all(&turns, 0).len(), 32);
        answer(&turns, 0, TOGETHER * 10);
        assert_eq!(all(&turns, 0).len(), 4);
        answer(&turns, 0, 0);
        assert_eq!(all(&turns, 0).len(), 5);
    }

    #[test]
    fn places_that_are_held_are_given_up_answer_by_answer() {
        let turns = turns(64);
        let held = all(&turns, 0);
        let mut next = Box::pin(turns.turn(0));
        assert!(next.as_mut().now_or_never().is_none());
        for (number, turn) in held.into_iter().enumerate() {
            turn.answered(TOGETHER);
            let waits = next.as_mut().now_or_never().is_none();
            // Twelve of the sixteen are given up.
            assert_eq!(waits, number < 12, "{number}");
            if !waits {
                break;
            }
        }
        assert_eq!(all(&turns, 0).len(), 3 + 1);
    }

    #[test]
    fn one_place_stays_one() {
        let turns = turns(1);
        for bytes in [0, TOGETHER * 2, 1] {
            answer(&turns, 0, bytes);
            assert_eq!(all(&turns, 0).len(), 1);
        }
    }
}
