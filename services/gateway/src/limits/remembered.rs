//! What is remembered of clients that have gone: how many places their answers had left them.
//!
//! Otherwise whoever reads large answers in bursts would begin each burst with as many places as a newcomer. The memory is bounded
//! by construction: a client is kept in the slot that its hash names, until another one that goes takes that slot. The whole hash is
//! kept with it, so nobody has the places of another client: who is forgotten begins like a newcomer.

use std::hash::{BuildHasher, Hash, RandomState};

/// The slots, about 100 kB in all.
const SLOTS: usize = 1 << 12;

pub(super) struct Remembered {
    /// The hash of a client, and its places.
    slots: Box<[Option<(u64, u32)>]>,
    /// Seeded at random, so that nobody can choose whose slot to take.
    hasher: RandomState,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![None; SLOTS].into_boxed_slice(),
            hasher: RandomState::new(),
        }
    }

    /// The places of this client, if it is remembered.
    pub(super) fn places(&self, client: impl Hash) -> Option<u32> {
        let hash = self.hasher.hash_one(client);
        let kept = self.slots.get(Self::slot(hash)).copied().flatten();
        kept.filter(|(of, _)| *of == hash).map(|(_, places)| places)
    }

    /// Remembers the places of this client.
    pub(super) fn keep(&mut self, client: impl Hash, places: u32) {
        let hash = self.hasher.hash_one(client);
        if let Some(slot) = self.slots.get_mut(Self::slot(hash)) {
            *slot = Some((hash, places));
        }
    }

    fn slot(hash: u64) -> usize {
        // The remainder is below SLOTS.
        (hash % SLOTS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_the_places_of_another_client() {
        let mut remembered = Remembered::new();
        // More than there are slots, so that some take those of others.
        for client in 0..2 * SLOTS {
            assert_eq!(remembered.places(client), None);
            remembered.keep(client, 7);
            assert_eq!(remembered.places(client), Some(7));
        }
    }
}
