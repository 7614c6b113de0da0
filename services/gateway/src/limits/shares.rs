//! Shares: how many places of a line the clients of one site have together.
//!
//! [Turns](super::turns) bound what one client has. But whoever signs up several accounts is several clients, and four of them
//! would have all that a service behind takes at a time. So a site gets another place only while it holds fewer than are free.
//! Alone it has half of them, two sites have a third each, and as many as one of them has are left for a site that comes next. This
//! rule is known as dynamic thresholds (Choudhury and Hahne, *Dynamic Queue Length Thresholds for Shared-Memory Packet Switches*,
//! IEEE/ACM Transactions on Networking 6(2), 1998). The alternative, a fixed number for each site, would be too low for a NAT with
//! many customers, or so high that two sites have everything.
//!
//! Places that come back go to the waiting sites in turn, and at a site to its clients in turn. Nobody loses a place that it holds:
//! of sites that come one after the other while nothing comes back, each has half of what is left, and the ninth of them takes the
//! last of 256. Then a site that has none gets the first that comes back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chassis::proxies::Site;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::client::Client;

/// The places of all lines. Clones share them.
#[derive(Clone)]
pub(crate) struct Shares(Arc<Inner>);

struct Inner {
    /// How many places each line has.
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By their names, which are all in the code.
    lines: HashMap<&'static str, Line>,
    /// The number of the next one who waits.
    next: u64,
}

struct Line {
    free: usize,
    /// The sites that hold places or wait for some. As many as there are requests, at most.
    sites: HashMap<Site, AtSite>,
    /// Those that wait, the next one first.
    waiting: VecDeque<Site>,
}

#[derive(Default)]
struct AtSite {
    held: usize,
    /// The clients that wait, the next one first; none of them is empty.
    waiting: VecDeque<OfClient>,
}

struct OfClient {
    client: Client,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    sender: oneshot::Sender<Place>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    /// `None` once it was given back.
    shares: Option<Shares>,
    line: &'static str,
    site: Site,
}

/// A wait for a place, until it is dropped.
struct Wait<'a> {
    shares: &'a Shares,
    line: &'static str,
    site: Site,
    client: Client,
    number: u64,
    place: oneshot::Receiver<Place>,
}

impl Shares {
    /// So many places of each line.
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Inner {
            places,
            state: Mutex::default(),
        }))
    }

    /// Waits for a place of this line. `None` if nobody is left who could give one, which does not happen.
    pub(crate) async fn take(
        &self,
        line: &'static str,
        site: Site,
        client: Client,
    ) -> Option<Place> {
        let mut wait = {
            let mut state = self.state();
            let number = state.next;
            let of = state.line(line, self.0.places);
            if of.may_take(site) {
                of.hold(site);
                return Some(self.place(line, site));
            }
            let (sender, place) = oneshot::channel();
            of.join(site, client, Waiter { number, sender });
            state.next += 1;
            Wait {
                shares: self,
                line,
                site,
                client,
                number,
                place,
            }
        };
        (&mut wait.place).await.ok()
    }

    fn place(&self, line: &'static str, site: Site) -> Place {
        Place {
            shares: Some(self.clone()),
            line,
            site,
        }
    }

    fn give_back(&self, line: &'static str, site: Site) {
        let mut state = self.state();
        let of = state.line(line, self.0.places);
        of.release(site);
        of.grant(|site| self.place(line, site));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl State {
    fn line(&mut self, line: &'static str, places: usize) -> &mut Line {
        self.lines.entry(line).or_insert_with(|| Line {
            free: places,
            sites: HashMap::new(),
            waiting: VecDeque::new(),
        })
    }
}

impl Line {
    /// Whoever waits at a site waits because this is false, and it becomes true only when a place is given back.
    fn may_take(&self, site: Site) -> bool {
        self.sites.get(&site).map_or(0, |at| at.held) < self.free
    }

    fn hold(&mut self, site: Site) {
        self.sites.entry(site).or_default().held += 1;
        self.free -= 1;
    }

    fn release(&mut self, site: Site) {
        self.free += 1;
        if let Some(at) = self.sites.get_mut(&site) {
            at.held -= 1;
        }
        self.forget_if_idle(site);
    }

    fn join(&mut self, site: Site, client: Client, waiter: Waiter) {
        let at = self.sites.entry(site).or_default();
        if at.waiting.is_empty() {
            self.waiting.push_back(site);
        }
        at.join(client, waiter);
    }

    /// Ends a wait, unless it has got a place.
    fn leave(&mut self, site: Site, client: Client, number: u64) {
        let Some(at) = self.sites.get_mut(&site) else {
            return;
        };
        if at.leave(client, number) && at.waiting.is_empty() {
            self.waiting.retain(|other| *other != site);
        }
        self.forget_if_idle(site);
    }

    /// Gives free places to those who wait and may have one.
    fn grant(&mut self, place: impl Fn(Site) -> Place) {
        while let Some(at) = self.waiting.iter().position(|site| self.may_take(*site)) {
            let Some(site) = self.waiting.remove(at) else {
                return;
            };
            let Some(waiter) = self.next_at(site) else {
                continue;
            };
            self.hold(site);
            if let Err(mut unwanted) = waiter.sender.send(place(site)) {
                // Whoever goes away leaves the line first, so somebody is there. If not, it must not be given back by its `Drop`,
                // since the lock is held.
                unwanted.shares = None;
                self.release(site);
            }
        }
    }

    /// The next one who waits at a site, which goes behind the other sites.
    fn next_at(&mut self, site: Site) -> Option<Waiter> {
        let at = self.sites.get_mut(&site)?;
        let waiter = at.next();
        if !at.waiting.is_empty() {
            self.waiting.push_back(site);
        }
        waiter
    }

    fn forget_if_idle(&mut self, site: Site) {
        let is_idle = |at: &AtSite| at.held == 0 && at.waiting.is_empty();
        if self.sites.get(&site).is_some_and(is_idle) {
            self.sites.remove(&site);
        }
    }
}

impl AtSite {
    fn join(&mut self, client: Client, waiter: Waiter) {
        match self.waiting.iter_mut().find(|of| of.client == client) {
            Some(of) => of.waiters.push_back(waiter),
            None => self.waiting.push_back(OfClient {
                client,
                waiters: VecDeque::from([waiter]),
            }),
        }
    }

    /// Whether somebody has left.
    fn leave(&mut self, client: Client, number: u64) -> bool {
        let Some(at) = self.waiting.iter().position(|of| of.client == client) else {
            return false;
        };
        let waiters = &mut self.waiting[at].waiters;
        let before = waiters.len();
        waiters.retain(|waiter| waiter.number != number);
        let (has_left, is_empty) = (waiters.len() < before, waiters.is_empty());
        if is_empty {
            self.waiting.remove(at);
        }
        has_left
    }

    /// The next one, whose client goes behind the others.
    fn next(&mut self) -> Option<Waiter> {
        let mut of = self.waiting.pop_front()?;
        let waiter = of.waiters.pop_front();
        if !of.waiters.is_empty() {
            self.waiting.push_back(of);
        }
        waiter
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(shares) = self.shares.take() {
            shares.give_back(self.line, self.site);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        let of = state.line(self.line, self.shares.0.places);
        of.leave(self.site, self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;
    use std::pin::Pin;

    use chassis::proxies::Origin;
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LINE: &str = "orders";

    fn site(number: u8) -> Site {
        Origin::from(IpAddr::from([192, 0, 2, number])).site()
    }

    fn account(number: u128) -> Client {
        Client::User(Uuid::from_u128(number))
    }

    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Place>> + 'a>>;

    /// Somebody who waits for a place.
    fn wait(shares: &Shares, at: u8, number: u128) -> Waiting<'_> {
        let mut wait: Waiting<'_> = Box::pin(shares.take(LINE, site(at), account(number)));
        assert!(wait.as_mut().now_or_never().is_none(), "{at}: {number}");
        wait
    }

    /// As many places as a site can have, each for another account.
    fn all(shares: &Shares, at: u8) -> Vec<Place> {
        let next = |number| shares.take(LINE, site(at), account(number)).now_or_never();
        (0..).map_while(|number| next(number).flatten()).collect()
    }

    #[test]
    fn a_site_has_no_more_than_it_leaves_however_many_accounts_it_has() {
        let shares = Shares::new(256);
        let first = all(&shares, 1);
        assert_eq!(first.len(), 128);
        let others = [2, 3].map(|at| all(&shares, at));
        assert_eq!(others.each_ref().map(Vec::len), [64, 32]);
        let elsewhere = shares.take("products", site(1), account(1)).now_or_never();
        assert!(elsewhere.flatten().is_some(), "another line");
        // 96 are held, and whoever comes has as many as it leaves.
        drop(first);
        assert_eq!(all(&shares, 4).len(), 80);
        drop(others);
        assert!(shares.state().lines[LINE].sites.is_empty());
        assert_eq!(shares.state().lines[LINE].free, 256);
    }

    #[test]
    fn what_comes_back_goes_to_the_accounts_of_a_site_in_turn() {
        let shares = Shares::new(4);
        let mut held = all(&shares, 1);
        let mut waiting = [1, 1, 1, 2].map(|number| wait(&shares, 1, number));
        let mut served = Vec::new();
        for _ in 0..4 {
            held.pop();
            let now = waiting.iter_mut().map(|it| it.now_or_never().flatten());
            let (at, place) = now.enumerate().find(|(_, it)| it.is_some()).unwrap();
            held.extend(place);
            served.push(at);
            waiting[at] = Box::pin(pending::<Option<Place>>());
        }
        assert_eq!(served, [0, 3, 1, 2], "the other account is not the last");
    }

    #[test]
    fn what_comes_back_goes_to_a_site_that_has_fewer() {
        let shares = Shares::new(4);
        let mut first = all(&shares, 1);
        let [second, third] = [2, 3].map(|at| all(&shares, at));
        assert_eq!([first.len(), second.len(), third.len()], [2, 1, 1]);
        let mut greedy = wait(&shares, 1, 9);
        let mut new = wait(&shares, 4, 1);
        first.pop();
        assert!(
            greedy.as_mut().now_or_never().is_none(),
            "it holds one, and one is free"
        );
        assert!(new.as_mut().now_or_never().flatten().is_some());
    }

    #[test]
    fn where_nothing_came_back_the_first_that_does_is_for_a_site_without_any() {
        let shares = Shares::new(256);
        let mut held: Vec<_> = (1..=9).map(|at| all(&shares, at)).collect();
        assert_eq!(shares.state().lines[LINE].free, 0);
        let mut greedy = wait(&shares, 1, 999);
        let mut new = wait(&shares, 10, 1);
        held[0].pop();
        assert!(greedy.as_mut().now_or_never().is_none());
        assert!(new.as_mut().now_or_never().flatten().is_some());
    }

    #[test]
    fn who_goes_away_waits_no_longer_and_keeps_nothing() {
        let shares = Shares::new(2);
        let held = all(&shares, 1);
        assert_eq!(held.len(), 1);
        let [gone, granted, mut stays] = [1, 2, 3].map(|number| wait(&shares, 1, number));
        drop(gone);
        let left = shares.state().lines[LINE].sites[&site(1)].waiting.len();
        assert_eq!(left, 2);
        // It has got the place, and has not looked.
        drop(held);
        drop(granted);
        let place = stays.as_mut().now_or_never().flatten();
        assert!(place.is_some());
        drop((stays, place));
        let state = shares.state();
        assert!(state.lines[LINE].sites.is_empty() && state.lines[LINE].waiting.is_empty());
        assert_eq!(state.lines[LINE].free, 2);
    }
}
