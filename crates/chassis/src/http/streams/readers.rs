//! Who reads streams, and whose stream ends when there is no place for one more.
//!
//! A limit that refuses the newcomer lets whoever came first decide who that is: two addresses could keep all places for as long
//! as they like. So the newcomer gets the place of whoever has the most, as long as that leaves both with as many, or the other
//! with more. Whoever has been displaced gains nothing by coming again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::{Bounds, Full};
use crate::proxies::{Origin, Site};
use crate::stalls::Seat;

/// How many more streams one must have to make room for another: then it has no fewer than the other afterwards.
const MORE: usize = 2;

/// The reader of a stream, as far as known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) user: Option<Uuid>,
    pub(super) address: Option<Origin>,
}

/// All streams, by their readers: at most two entries for each stream, so the maps are bounded as the streams are.
#[derive(Debug, Default)]
pub(super) struct Readers {
    all: usize,
    next: u64,
    of_users: HashMap<Uuid, usize>,
    groups: HashMap<Option<Origin>, Group>,
}

/// The streams of one address. Those of unknown addresses are one group.
#[derive(Debug, Default)]
struct Group {
    all: usize,
    /// By user, the oldest stream first. Those without a user are together.
    members: HashMap<Option<Uuid>, BTreeMap<u64, Arc<Seat>>>,
}

/// A stream that has been added.
pub(super) struct Entered {
    pub(super) key: u64,
    /// Whether another one had to make room for it.
    pub(super) has_displaced: bool,
}

impl Readers {
    /// Adds a stream.
    ///
    /// # Errors
    /// [`Full`], if there is no place and nobody has to make room.
    pub(super) fn enter(
        &mut self,
        reader: Reader,
        seat: &Arc<Seat>,
        bounds: &Bounds,
    ) -> Result<Entered, Full> {
        let of_user = reader.user.and_then(|user| self.of_users.get(&user));
        if of_user.is_some_and(|of| *of >= bounds.max_per_user) {
            return Err(Full::Reader(bounds.max_per_user));
        }
        let is_full = reader.address.is_some() && self.of(reader.address) >= bounds.max_per_address;
        let mut has_displaced = false;
        if is_full {
            has_displaced = self.make_room_at_address(reader);
            if !has_displaced {
                return Err(Full::Reader(bounds.max_per_address));
            }
        }
        if self.all >= bounds.max {
            has_displaced = self.make_room(reader);
            if !has_displaced {
                return Err(Full::All);
            }
        }
        let key = self.add(reader, seat);
        Ok(Entered { key, has_displaced })
    }

    fn add(&mut self, reader: Reader, seat: &Arc<Seat>) -> u64 {
        let key = self.next;
        self.next += 1;
        self.all += 1;
        if let Some(user) = reader.user {
            *self.of_users.entry(user).or_default() += 1;
        }
        let group = self.groups.entry(reader.address).or_default();
        group.all += 1;
        let member = group.members.entry(reader.user).or_default();
        member.insert(key, Arc::clone(seat));
        key
    }

    /// Removes a stream; `None` if it had to make room before.
    pub(super) fn remove(&mut self, reader: Reader, key: u64) -> Option<Arc<Seat>> {
        let group = self.groups.get_mut(&reader.address)?;
        let member = group.members.get_mut(&reader.user)?;
        let seat = member.remove(&key)?;
        if member.is_empty() {
            group.members.remove(&reader.user);
        }
        group.all -= 1;
        if group.all == 0 {
            self.groups.remove(&reader.address);
        }
        self.all -= 1;
        if let Some(user) = reader.user
            && let Some(of) = self.of_users.get_mut(&user)
        {
            *of -= 1;
            if *of == 0 {
                self.of_users.remove(&user);
            }
        }
        Some(seat)
    }

    /// Ends the oldest stream of whoever has the most at the address with the most, of the site with the most. Returns false if
    /// that site has no more than the newcomer's would have, and nobody at the newcomer's site has.
    ///
    /// Sites come first: one client with a whole site can open each stream from another address (ADR 54).
    fn make_room(&mut self, newcomer: Reader) -> bool {
        let site = |address: Option<Origin>| address.map(Origin::site);
        let mut of_sites = HashMap::<Option<Site>, usize>::new();
        for (address, group) in &self.groups {
            *of_sites.entry(site(*address)).or_default() += group.all;
        }
        let own = of_sites.get(&site(newcomer.address)).copied();
        match of_sites.into_iter().max_by_key(|(_, all)| *all) {
            Some((most, all)) if all >= own.unwrap_or(0) + MORE => {
                let of_most = |address: &Option<Origin>| site(*address) == most;
                let found = self.fullest(of_most).map(|(address, _)| address);
                found.is_some_and(|address| self.end_oldest_at(address))
            }
            _ => self.make_room_at_site(newcomer),
        }
    }

    /// The same at the newcomer's own site.
    fn make_room_at_site(&mut self, newcomer: Reader) -> bool {
        let site = |address: Option<Origin>| address.map(Origin::site);
        let own = self.of(newcomer.address);
        let at_site = |address: &Option<Origin>| site(*address) == site(newcomer.address);
        match self.fullest(at_site) {
            Some((address, all)) if all >= own + MORE => self.end_oldest_at(address),
            _ => self.make_room_at_address(newcomer),
        }
    }

    /// The address with the most streams of those that are `wanted`, and how many it has.
    fn fullest(&self, wanted: impl Fn(&Option<Origin>) -> bool) -> Option<(Option<Origin>, usize)> {
        let groups = self.groups.iter().filter(|(address, _)| wanted(address));
        let fullest = groups.max_by_key(|(_, group)| group.all);
        fullest.map(|(address, group)| (*address, group.all))
    }

    /// Ends the oldest stream of whoever has the most at this address.
    fn end_oldest_at(&mut self, address: Option<Origin>) -> bool {
        let most = self.groups.get(&address).and_then(Group::most);
        most.is_some_and(|(user, _)| self.end_oldest(Reader { user, address }))
    }

    /// The same at the newcomer's own address.
    fn make_room_at_address(&mut self, newcomer: Reader) -> bool {
        let Some(group) = self.groups.get(&newcomer.address) else {
            return false;
        };
        let own = group.members.get(&newcomer.user).map_or(0, BTreeMap::len);
        match group.most() {
            Some((user, streams)) if streams >= own + MORE => self.end_oldest(Reader {
                user,
                address: newcomer.address,
            }),
            _ => false,
        }
    }

    fn end_oldest(&mut self, reader: Reader) -> bool {
        let group = self.groups.get(&reader.address);
        let member = group.and_then(|group| group.members.get(&reader.user));
        let oldest = member.and_then(|member| member.keys().next().copied());
        // Removed at once, so that it is not chosen again and does not count while it ends.
        let seat = oldest.and_then(|key| self.remove(reader, key));
        seat.is_some_and(|seat| {
            seat.end();
            true
        })
    }

    /// The streams of an address.
    fn of(&self, address: Option<Origin>) -> usize {
        self.groups.get(&address).map_or(0, |group| group.all)
    }

    /// The number of streams.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Whether nothing is left of any reader.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all == 0 && self.of_users.is_empty() && self.groups.is_empty()
    }
}

impl Group {
    /// Who has the most streams, and how many. Of several, the one with the oldest.
    fn most(&self) -> Option<(Option<Uuid>, usize)> {
        let members = self.members.iter();
        let most = members
            .max_by_key(|(_, streams)| (streams.len(), Reverse(streams.keys().next().copied())));
        most.map(|(user, streams)| (*user, streams.len()))
    }
}
