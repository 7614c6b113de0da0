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
//! a large one as many as have [`TOGETHER`] bytes together. Who comes again has as many as when it went ([`super::remembered`]).
//!
//! Lines are kept by name. Fewer ones, each for all clients that hash to it, would need no map, but whoever shares one with a client
//! that waits for its site would wait for that site as well: a few hundred accounts reach a fifth of 4,096 lines.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::client::Client;
use super::remembered::Remembered;

/// The most bytes of a client's concurrent answers together.
const TOGETHER: u64 = 1 << 20;
/// A client begins with one in this many of its places.
const FIRST: u32 = 4;
/// A client keeps one in this many of its places, however large its answers are.
const FEWEST: u32 = 16;

/// A client, and what it asks for.
type Key = (Client, &'static str);

/// The lines of all clients.
pub(crate) struct Turns {
    /// The most places of a line.
    most: u32,
    state: Mutex<State>,
}

struct State {
    /// Of those clients that hold places or wait for some. As many as there are requests, at most; each has a line that is its own,
    /// since a client that shared one by its hash would wait for strangers.
    lines: HashMap<Key, Line>,
    /// Of those that have gone.
    remembered: Remembered,
    /// The number of the next one who waits.
    next: u64,
}

/// One line. Somebody waits only while as many places are held as there are.
struct Line {
    places: u32,
    held: u32,
    /// By their numbers, the next one first.
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    /// Tells it that it holds a place.
    told: oneshot::Sender<()>,
}

/// A place, or a wait for one, until it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: Key,
    standing: Standing,
}

#[derive(Clone, Copy)]
enum Standing {
    /// It waits with this number, or was given a place and has not looked.
    Waits(u64),
    Holds,
    /// It holds a place, and had an answer of which so many fit together.
    Answered {
        fit: u32,
    },
}

impl Turns {
    /// `most` places for each client, if its answers are small.
    pub(crate) fn new(most: NonZeroU32) -> Self {
        Self {
            most: most.get(),
            state: Mutex::new(State {
                lines: HashMap::new(),
                remembered: Remembered::new(),
                next: 0,
            }),
        }
    }

    /// Waits for a place of this client for what it asks for. `None` if nobody is left who could give one, which does not happen.
    pub(crate) async fn turn(&self, client: Client, line: &'static str) -> Option<Turn<'_>> {
        let (mut turn, told) = self.join((client, line));
        if let Some(told) = told {
            told.await.ok()?;
            turn.standing = Standing::Holds;
        }
        Some(turn)
    }

    /// A turn, and what tells that it has come if it has to be waited for.
    fn join(&self, key: Key) -> (Turn<'_>, Option<oneshot::Receiver<()>>) {
        let first = self.most.div_ceil(FIRST);
        let (standing, told) = self.state().join(key, first);
        let turn = Turn {
            turns: self,
            key,
            standing,
        };
        (turn, told)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether nobody holds a place or waits for one.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.state().lines.is_empty()
    }
}

impl State {
    fn join(&mut self, key: Key, first: u32) -> (Standing, Option<oneshot::Receiver<()>>) {
        let remembered = &self.remembered;
        let line = self.lines.entry(key).or_insert_with(|| Line {
            places: remembered.places(key).unwrap_or(first),
            held: 0,
            waiting: VecDeque::new(),
        });
        if line.held < line.places {
            line.held += 1;
            return (Standing::Holds, None);
        }
        let number = self.next;
        self.next += 1;
        let (sender, told) = oneshot::channel();
        line.waiting.push_back(Waiter {
            number,
            told: sender,
        });
        (Standing::Waits(number), Some(told))
    }

    fn leave(&mut self, key: Key, standing: Standing) {
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        match standing {
            Standing::Waits(number) if line.forget(number) => {}
            Standing::Waits(_) | Standing::Holds => line.give_back(),
            Standing::Answered { fit } => {
                line.weigh(fit);
                line.give_back();
            }
        }
        if line.held == 0 && line.waiting.is_empty() {
            let places = line.places;
            self.lines.remove(&key);
            self.remembered.keep(key, places);
        }
    }
}

impl Line {
    /// Ends a wait. Whether it was one: whoever was given a place waits no longer.
    fn forget(&mut self, number: u64) -> bool {
        let at = self.waiting.binary_search_by_key(&number, |it| it.number);
        at.is_ok_and(|at| self.waiting.remove(at).is_some())
    }

    /// Gives places to those who wait, as far as they go, after one that was held has come back.
    fn give_back(&mut self) {
        self.held -= 1;
        while self.held < self.places {
            let Some(next) = self.waiting.pop_front() else {
                return;
            };
            self.held += 1;
            // Whoever goes away in this moment gives the place back.
            next.told.send(()).ok();
        }
    }

    /// Follows an answer of which so many fit together. Its place is still held.
    fn weigh(&mut self, fit: u32) {
        if fit > self.places {
            self.places += 1;
        } else if fit < self.places {
            // Removes this place and free ones; places in use are removed after their next large answer.
            self.places = fit.max(self.held - 1);
        }
    }
}

impl Turn<'_> {
    /// Ends the turn with an answer of this many bytes.
    pub(crate) fn answered(mut self, bytes: u64) {
        let most = self.turns.most;
        let fit = TOGETHER.checked_div(bytes).unwrap_or(u64::MAX);
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        let fit = fit.clamp(most.div_ceil(FEWEST), most);
        self.standing = Standing::Answered { fit };
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.state().leave(self.key, self.standing);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LINE: &str = "orders";

    fn turns(most: u32) -> Turns {
        Turns::new(NonZeroU32::new(most).unwrap())
    }

    /// The next turn of this client.
    fn turn(turns: &Turns, client: u32) -> impl Future<Output = Option<Turn<'_>>> {
        let client = Client::User(Uuid::from_u128(client.into()));
        turns.turn(client, LINE)
    }

    /// As many turns of this client as there are now.
    fn all(turns: &Turns, client: u32) -> Vec<Turn<'_>> {
        let next = || turn(turns, client).now_or_never().flatten();
        std::iter::from_fn(next).collect()
    }

    /// The next answer of this client is of so many bytes.
    fn answer(turns: &Turns, client: u32, bytes: u64) {
        let next = turn(turns, client).now_or_never().flatten();
        next.unwrap().answered(bytes);
    }

    #[test]
    fn a_client_waits_for_itself_only() {
        let turns = turns(8);
        let mut own = all(&turns, 0);
        assert_eq!(own.len(), 2, "a quarter");
        let mut third = Box::pin(turn(&turns, 0));
        assert!(third.as_mut().now_or_never().is_none(), "it has two places");
        assert_eq!(all(&turns, 1).len(), 2);
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
        let mut next = Box::pin(turn(&turns, 0));
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

    #[test]
    fn two_clients_never_share_a_line() {
        let turns = turns(8);
        // So many that each hash of twelve bits is that of two of them.
        let held: Vec<_> = (0..8_192).map(|client| all(&turns, client)).collect();
        assert!(held.iter().all(|of| of.len() == 2));
        let Some(Turn { key, .. }) = held[0].first() else {
            panic!("it holds two");
        };
        let elsewhere = turns.turn(key.0, "users").now_or_never();
        assert!(elsewhere.flatten().is_some(), "another line");
    }

    #[test]
    fn who_waits_is_served_in_order() {
        let turns = turns(1);
        let held = all(&turns, 0);
        let [mut first, mut second] = [(); 2].map(|()| {
            let mut next = Box::pin(turn(&turns, 0));
            assert!(next.as_mut().now_or_never().is_none());
            next
        });
        drop(held);
        // Whoever comes now does not get past them.
        assert!(all(&turns, 0).is_empty());
        assert!(second.as_mut().now_or_never().is_none());
        let served = first.as_mut().now_or_never().flatten();
        assert!(served.is_some());
        drop(served);
        assert!(second.as_mut().now_or_never().flatten().is_some());
    }

    #[test]
    fn who_goes_away_keeps_nothing_and_idle_clients_leave_nothing_behind() {
        let turns = turns(1);
        let held = all(&turns, 0);
        assert_eq!(held.len(), 1);
        let wait = || {
            let mut next = Box::pin(turn(&turns, 0));
            assert!(next.as_mut().now_or_never().is_none());
            next
        };
        let (gone, granted, mut stays) = (wait(), wait(), wait());
        drop(gone);
        // It has got the place, and has not looked.
        drop(held);
        assert!(stays.as_mut().now_or_never().is_none());
        drop(granted);
        let last = stays.as_mut().now_or_never().flatten();
        assert!(last.is_some());
        assert!(!turns.is_idle());
        drop((stays, last));
        assert!(turns.is_idle());
    }
}
