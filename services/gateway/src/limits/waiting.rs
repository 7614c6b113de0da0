//! Requests that wait for their turns, and who makes room when they are too many.
//!
//! Whoever waits holds no place among the requests in progress ([`outside`](chassis::limits::outside)), and their number is
//! bounded. If the bound only kept further ones out, a few addresses with as many requests as an address may have open would take
//! all of it. So one more always gets in, and the newest request makes room of the client that has most of them, at the site that
//! has most: it has waited for the shortest time, and so many of its client's own are in front of it that it would be the last to be
//! served.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use chassis::limits::OUTSIDE_MAX;
use chassis::proxies::Site;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::client::{Claimant, Client};

/// The most requests that wait for their turns. Fewer than may wait outside in this process: some places are for those who wait
/// for keys, whose number has a bound of its own.
pub(crate) const WAITING_MAX: usize = OUTSIDE_MAX - 512;

/// All requests that wait for their turns, in whatever line.
pub(crate) struct Waiting {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: usize,
    next: u64,
    sites: HashMap<Site, AtSite>,
}

#[derive(Default)]
struct AtSite {
    total: usize,
    /// By their numbers, the newest last; none of them is empty. A sender that is dropped tells its request to make room.
    clients: HashMap<Client, BTreeMap<u64, oneshot::Sender<Infallible>>>,
}

/// A request that waits, until it is dropped.
struct Entry<'a> {
    waiting: &'a Waiting,
    site: Site,
    client: Client,
    number: u64,
    told: oneshot::Receiver<Infallible>,
}

/// The request had to make room for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MadeRoom;

impl Waiting {
    /// At most `most` requests wait.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    /// Waits for the turn of a request. One that is there at once costs nothing here, and whose site is not counted makes room for
    /// nobody.
    ///
    /// # Errors
    /// [`MadeRoom`] if there were too many requests, and most of them were of this client.
    pub(crate) async fn until<F: Future>(
        &self,
        who: &Claimant,
        turn: F,
    ) -> Result<F::Output, MadeRoom> {
        let mut turn = pin!(turn);
        if let Poll::Ready(turn) = poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx))).await {
            return Ok(turn);
        }
        let Some(site) = who.site else {
            return Ok(turn.await);
        };
        let mut entry = self.join(site, who.client);
        tokio::select! {
            biased;
            turn = turn => Ok(turn),
            _ = &mut entry.told => Err(MadeRoom),
        }
    }

    fn join(&self, site: Site, client: Client) -> Entry<'_> {
        let (sender, told) = oneshot::channel();
        let mut state = self.state();
        let number = state.add(site, client, sender);
        if state.total > self.most {
            state.make_room(site);
        }
        drop(state);
        Entry {
            waiting: self,
            site,
            client,
            number,
            told,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn add(&mut self, site: Site, client: Client, sender: oneshot::Sender<Infallible>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.total += 1;
        let at = self.sites.entry(site).or_default();
        at.total += 1;
        at.clients.entry(client).or_default().insert(number, sender);
        number
    }

    /// Tells one to make room, after one was added at the site `newest`. It looks at each site once, some tens of microseconds if
    /// there are thousands.
    fn make_room(&mut self, newest: Site) {
        // Of sites that have as many it is the one that wants more.
        let most = |(site, at): &(&Site, &AtSite)| (at.total, **site == newest);
        let fullest = self.sites.iter().max_by_key(most);
        if let Some((site, client, number)) = fullest.and_then(|(site, at)| at.last(*site)) {
            self.remove(site, client, number);
        }
    }

    /// Removes a request, unless it made room before.
    fn remove(&mut self, site: Site, client: Client, number: u64) {
        let Some(at) = self.sites.get_mut(&site) else {
            return;
        };
        let Some(requests) = at.clients.get_mut(&client) else {
            return;
        };
        if requests.remove(&number).is_none() {
            return;
        }
        if requests.is_empty() {
            at.clients.remove(&client);
        }
        at.total -= 1;
        self.total -= 1;
        if at.total == 0 {
            self.sites.remove(&site);
        }
    }
}

impl AtSite {
    /// The newest request of the client with the most.
    fn last(&self, site: Site) -> Option<(Site, Client, u64)> {
        let last = |(client, requests): (&Client, &BTreeMap<u64, _>)| {
            let (newest, _) = requests.last_key_value()?;
            Some((requests.len(), *newest, *client))
        };
        let fullest = self.clients.iter().filter_map(last);
        let (_, number, client) = fullest.max_by_key(|(length, newest, _)| (*length, *newest))?;
        Some((site, client, number))
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting
            .state()
            .remove(self.site, self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::net::IpAddr;
    use std::pin::Pin;

    use chassis::proxies::Origin;
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    type Request<'a> = Pin<Box<dyn Future<Output = Result<(), MadeRoom>> + 'a>>;

    fn claimant(address: u8, account: u128) -> Claimant {
        Claimant {
            client: Client::User(Uuid::from_u128(account)),
            site: Some(Origin::from(IpAddr::from([192, 0, 2, address])).site()),
        }
    }

    /// A request whose turn does not come.
    fn request(waiting: &Waiting, address: u8, account: u128) -> Request<'_> {
        let mut request: Request<'_> =
            Box::pin(async move { waiting.until(&claimant(address, account), pending()).await });
        // Its first step. Whether it has to make room is seen in the next one.
        let _ = request.as_mut().now_or_never();
        request
    }

    /// Whether it still waits.
    fn waits(request: &mut Request<'_>) -> bool {
        request.as_mut().now_or_never().is_none()
    }

    #[test]
    fn whoever_has_most_makes_room_with_its_newest_and_no_other_is_refused() {
        let waiting = Waiting::new(8);
        let mut flood: Vec<_> = (0..8).map(|_| request(&waiting, 1, 1)).collect();
        let mut others: Vec<_> = (2..6)
            .map(|address| request(&waiting, address, 1))
            .collect();
        let waiting_now: Vec<_> = flood.iter_mut().map(waits).collect();
        assert_eq!(
            waiting_now,
            [true, true, true, true, false, false, false, false]
        );
        assert!(others.iter_mut().all(waits));
        assert_eq!(waiting.state().total, 8);
        drop((flood, others));
        assert!(waiting.state().sites.is_empty());
        assert_eq!(waiting.state().total, 0);
    }

    #[test]
    fn at_the_fullest_site_it_is_the_account_with_the_most() {
        let waiting = Waiting::new(4);
        let mut own: Vec<_> = (0..3).map(|_| request(&waiting, 1, 1)).collect();
        let mut neighbour = request(&waiting, 1, 2);
        let mut new = request(&waiting, 2, 3);
        assert!(waits(&mut neighbour) && waits(&mut new));
        let waiting_now: Vec<_> = own.iter_mut().map(waits).collect();
        assert_eq!(waiting_now, [true, true, false]);
    }

    #[test]
    fn one_more_of_whoever_has_most_is_refused_itself() {
        let waiting = Waiting::new(2);
        let mut others = [1, 2].map(|address| request(&waiting, address, 1));
        let mut more = Box::pin(async { waiting.until(&claimant(2, 1), pending::<()>()).await });
        let refused = more.as_mut().now_or_never();
        assert_eq!(refused.map(|it| it.is_err()), Some(true), "at once");
        assert!(others.iter_mut().all(waits));
    }

    #[test]
    fn a_turn_that_is_there_waits_for_no_room() {
        let waiting = Waiting::new(0);
        let turn = waiting.until(&claimant(1, 1), ready(7)).now_or_never();
        assert_eq!(turn, Some(Ok(7)));
        let uncounted = Claimant {
            site: None,
            ..claimant(1, 1)
        };
        let wait = waiting.until(&uncounted, pending::<()>()).now_or_never();
        assert_eq!(wait, None);
    }
}
