//! The lines that somebody waits in for a turn: that of the client, and then that of its site.

use std::num::NonZeroU32;

use super::client::Claimant;
use super::shares::{Place, Shares};
use super::turns::{self, Turns};

/// The places that sites share are those of so many clients, however many there are. By default that is as many as a service
/// behind takes at a time, and half of the requests that the gateway has in progress.
const CLIENTS: usize = 4;
/// The name of a line that stands for all lines.
const ALL: &str = "all";

/// The lines of requests, or those of calls.
pub(crate) struct Lines {
    of_clients: Turns,
    of_sites: Shares,
    /// Whether sites share the places of all lines together, or those of each.
    is_all: bool,
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a> {
    of_client: turns::Turn<'a>,
    _of_site: Option<Place>,
}

impl Lines {
    /// The lines of requests, `most` places of each for each client. Sites share the places of all of them together: requests in
    /// progress have one limit, whatever they are for.
    pub(crate) fn of_requests(most: NonZeroU32) -> Self {
        Self::new(most, true)
    }

    /// The lines of calls, one for each service, `most` places of each for each client. Sites share the places of each.
    pub(crate) fn of_calls(most: NonZeroU32) -> Self {
        Self::new(most, false)
    }

    fn new(most: NonZeroU32, is_all: bool) -> Self {
        Self {
            of_clients: Turns::new(most),
            of_sites: Shares::new(most.get() as usize * CLIENTS),
            is_all,
        }
    }

    /// Waits for a turn in this line. `None` if the line is closed, which does not happen.
    pub(crate) async fn turn(&self, who: &Claimant, line: &'static str) -> Option<Turn<'_>> {
        // First that of the client: what it wants beyond its own places must not stand before its neighbours at the site.
        let of_client = self.of_clients.turn(who.client, line).await?;
        let shared = if self.is_all { ALL } else { line };
        let of_site = match who.site {
            Some(site) => Some(self.of_sites.take(shared, site, who.client).await?),
            None => None,
        };
        Some(Turn {
            of_client,
            _of_site: of_site,
        })
    }
}

impl Turn<'_> {
    /// Ends the turn with an answer of this many bytes.
    pub(crate) fn answered(self, bytes: u64) {
        self.of_client.answered(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use chassis::proxies::Origin;
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::limits::client::Client;

    /// How many turns the accounts of one site have together, one in each line.
    fn of_one_site(lines: &Lines) -> usize {
        let site = Origin::from(IpAddr::from([192, 0, 2, 1])).site();
        let wanted = (0..32).flat_map(|account| ["users", "orders"].map(|line| (account, line)));
        let turns = wanted.map(|(account, line)| {
            let who = Claimant {
                client: Client::User(Uuid::from_u128(account)),
                site: Some(site),
            };
            let turn = async move { lines.turn(&who, line).await };
            turn.now_or_never().flatten()
        });
        // All of them are held.
        turns.collect::<Vec<_>>().iter().flatten().count()
    }

    /// Points at which it may be dropped: while it waits for its client's turn, while it waits for its site's share, when that was
    /// granted, and when it has both.
    #[test]
    fn who_goes_away_at_any_point_leaves_nothing_behind() {
        let lines = Lines::of_requests(NonZeroU32::new(4).unwrap());
        let who = |account| Claimant {
            client: Client::User(Uuid::from_u128(account)),
            site: Some(Origin::from(IpAddr::from([192, 0, 2, 1])).site()),
        };
        let turn = |account| {
            let (lines, who) = (&lines, who(account));
            let mut turn = Box::pin(async move { lines.turn(&who, "users").await });
            let now = turn.as_mut().now_or_never().flatten();
            (turn, now)
        };
        let mut held: Vec<_> = (0..8).map(|account| turn(account).1).collect();
        assert!(held.iter().all(Option::is_some));
        // The first has one place, and the account that comes has one, which it keeps while it waits for the site's.
        let (of_client, of_site, granted) = (turn(0), turn(8), turn(9));
        assert!(
            [&of_client, &of_site, &granted]
                .iter()
                .all(|it| it.1.is_none())
        );
        drop((of_client, of_site));
        held.pop();
        drop((granted, held));
        assert!(lines.of_clients.is_idle());
        assert_eq!(of_one_site(&lines), 8);
    }

    #[test]
    fn a_site_has_half_of_all_requests_and_of_the_calls_to_each_service() {
        let most = NonZeroU32::new(4).unwrap();
        assert_eq!(of_one_site(&Lines::of_requests(most)), 8);
        assert_eq!(of_one_site(&Lines::of_calls(most)), 2 * 8);
    }
}
