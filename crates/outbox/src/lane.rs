//! Lanes: how relays share the work without breaking the order of an aggregate.
//!
//! Every row carries a lane, a hash of its key. A relay holds a lane while it sends from it, so two
//! relays never send for the same aggregate at the same time, and yet none owns all of the table.
//!
//! Rejected alternatives: one advisory lock for the whole outbox (a second relay would only wait);
//! `FOR UPDATE SKIP LOCKED` on rows (a relay would send the second event of an order while another
//! still sends the first).

/// How many lanes there are. More lanes share finer; each costs one index probe a pass. Rows carry their
/// lane, so this changes only while the outbox is empty.
pub(crate) const LANES: i16 = 16;

/// The first half of the advisory lock's key, "outb" in ASCII; the second half is the lane.
pub(crate) const LOCK_CLASS: i32 = 0x6f75_7462;

/// The lane of a key: FNV-1a, because it must be the same in every process, build and version, which
/// the standard library's hasher does not promise.
pub(crate) fn of(key: &str) -> i16 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // Fewer than 2^15 lanes: the remainder fits.
    (hash % LANES.unsigned_abs() as u64) as i16
}

/// Some of the lanes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lanes(u16);

impl Lanes {
    /// Every lane.
    pub(crate) const ALL: Self = Self(u16::MAX);

    /// Adds a lane.
    pub(crate) fn insert(&mut self, lane: i16) {
        self.0 |= 1_u16 << lane;
    }

    /// Takes a lane out.
    pub(crate) fn remove(&mut self, lane: i16) {
        self.0 &= !(1_u16 << lane);
    }

    /// These and the others.
    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their numbers, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..LANES as usize).filter(move |&lane| self.0 & (1_u16 << lane) != 0)
    }
}

// As many bits as lanes.
const _: () = assert!(LANES as u32 == u16::BITS);

/// The lanes of one of `workers` workers: every lane has exactly one worker in a relay.
pub(crate) fn of_worker(worker: usize, workers: usize) -> Lanes {
    let mut lanes = Lanes::default();
    (0..LANES)
        .filter(|lane| *lane as usize % workers == worker)
        .for_each(|lane| lanes.insert(lane));
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_never_changes() {
        // Rows written by another version must be found in the same lane.
        assert_eq!(of("0190163d-8694-739b-aea5-966c26f8ad91"), 2);
        assert_eq!(of(""), 5);
    }

    #[test]
    fn keys_spread_over_all_lanes() {
        let mut rows = [0_u32; LANES as usize];
        for n in 0..16_000 {
            rows[of(&format!("order-{n}")) as usize] += 1;
        }
        assert!(rows.iter().all(|n| (800..1200).contains(n)), "{rows:?}");
    }

    #[test]
    fn each_lane_has_one_worker() {
        for workers in 1..=3 {
            let mut all: Vec<_> = (0..workers)
                .flat_map(|worker| of_worker(worker, workers).iter())
                .collect();
            all.sort_unstable();
            assert_eq!(all, (0..LANES as usize).collect::<Vec<_>>());
        }
    }
}
