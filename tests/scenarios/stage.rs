//! The marketplace that the scenarios of one infrastructure share, started when the first needs it.

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use scenarios::{Marketplace, Shop};

/// One marketplace of a kind, for scenarios that look at it together and for some that have it alone.
pub(crate) struct Stage<M> {
    start: fn() -> M,
    place: RwLock<Place<M>>,
    /// Goods that no scenario has taken for itself yet.
    goods: Mutex<Vec<(String, i64)>>,
}

enum Place<M> {
    Closed,
    /// It did not start, and will not when it is tried again.
    Broken,
    Open(M),
}

/// What a scenario sees of a marketplace that it shares.
pub(crate) struct Open<'a> {
    pub(crate) marketplace: &'a dyn Marketplace,
    goods: &'a Mutex<Vec<(String, i64)>>,
}

impl<M: Marketplace> Stage<M> {
    pub(crate) fn new(start: fn() -> M) -> Self {
        Self {
            start,
            place: RwLock::new(Place::Closed),
            goods: Mutex::default(),
        }
    }

    /// Plays a scenario that only looks at what a customer sees. Others may be played at the same time.
    pub(crate) fn shared(&self, scenario: impl FnOnce(&Open<'_>)) {
        // Without a gap in which one that wants it alone comes first, and keeps this one for a minute.
        let place = RwLockWriteGuard::downgrade(self.opened());
        if let Place::Open(marketplace) = &*place {
            scenario(&Open {
                marketplace,
                goods: &self.goods,
            });
        }
    }

    /// Plays a scenario that nobody else must be near.
    pub(crate) fn alone(&self, scenario: impl FnOnce(&mut M)) {
        if let Place::Open(marketplace) = &mut *self.opened() {
            scenario(marketplace);
        }
    }

    /// The marketplace, if it is open.
    pub(crate) fn if_open(&self, look: impl FnOnce(&M)) {
        if let Place::Open(marketplace) = &*self.read() {
            look(marketplace);
        }
    }

    /// Stops the marketplace, if it was started, when no scenario plays on it. Another one that needs it starts it again.
    pub(crate) fn close(&self) {
        *self.write() = Place::Closed;
    }

    /// The first caller starts the marketplace and the others wait.
    fn opened(&self) -> RwLockWriteGuard<'_, Place<M>> {
        let mut place = self.write();
        if matches!(*place, Place::Closed) {
            *place = Place::Broken;
            let marketplace = (self.start)();
            *self.goods.lock() = goods(&marketplace.shop());
            *place = Place::Open(marketplace);
        }
        assert!(
            !matches!(*place, Place::Broken),
            "the marketplace did not start: see the first scenario that failed"
        );
        place
    }

    // A scenario that failed must not fail the others.
    fn read(&self) -> RwLockReadGuard<'_, Place<M>> {
        self.place.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Place<M>> {
        self.place.write()
    }
}

impl Open<'_> {
    pub(crate) fn shop(&self) -> Shop {
        self.marketplace.shop()
    }

    /// A product with at least `pieces` that no other scenario buys: its id and what there is of it.
    pub(crate) fn product(&self, pieces: i64) -> (String, i64) {
        let mut goods = self.goods.lock();
        let index = goods.iter().position(|(_, available)| *available >= pieces);
        goods.remove(index.unwrap_or_else(|| panic!("no product with {pieces} pieces is left")))
    }
}

/// The catalogue: ids and pieces, the scarcest first.
pub(crate) fn goods(shop: &Shop) -> Vec<(String, i64)> {
    let mut goods: Vec<_> = shop
        .catalogue()
        .iter()
        .map(|p| {
            let id = p["id"].as_str().expect("an id").to_owned();
            (id, p["available"].as_i64().expect("a number of pieces"))
        })
        .collect();
    goods.sort_by_key(|(_, available)| *available);
    goods
}
