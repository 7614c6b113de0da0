//! The choice of the endpoint for a call.

use std::sync::Arc;

use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::circuit_breaker::Admission;

use super::endpoint::Endpoint;

/// The endpoints after one update; immutable, replaced by the next update.
pub(super) struct Set<K, S> {
    pub(super) generation: u64,
    pub(super) endpoints: Vec<Arc<Endpoint<K, S>>>,
    pub(super) max_ejected_percent: u8,
}

/// The endpoint, and the admission of its breaker if it let the call in.
pub(super) type Picked<'a, K, S> = (&'a Arc<Endpoint<K, S>>, Option<Admission>);

impl<K, S> Set<K, S> {
    /// Picks the endpoint for a call; avoids `avoid` if there is another one. `None` if there are no endpoints.
    pub(super) fn pick(
        &self,
        avoid: u64,
        now: Instant,
        rng: &mut impl RngCore,
    ) -> Option<Picked<'_, K, S>> {
        let endpoint = match self.endpoints.as_slice() {
            [] => return None,
            [only] => only,
            _ => {
                let [a, b] = self.two(rng);
                // The usual case. A pair with an endpoint that is not up is discarded, which leaves all other pairs
                // equally likely; the walk below is uniform, too.
                if [a, b].iter().all(|e| e.id != avoid && e.is_up()) {
                    cheaper(a, b, now, rng)
                } else {
                    return self.walk(avoid, now, rng);
                }
            }
        };
        Some((endpoint, endpoint.breaker.admit()))
    }

    /// Two different endpoints drawn at random. There must be at least two.
    fn two(&self, rng: &mut impl RngCore) -> [&Arc<Endpoint<K, S>>; 2] {
        // One draw for both: scaling half a word is uniform to one in four thousand million.
        let (bits, len) = (rng.next_u64(), self.endpoints.len() as u64);
        let a = ((bits >> 32) * len) >> 32;
        let b = ((bits & 0xffff_ffff) * (len - 1)) >> 32;
        let b = if b < a { b } else { b + 1 };
        [a, b].map(|index| &self.endpoints[index as usize])
    }

    /// Examines all endpoints, when some are not up or for a retry. It needs no memory, only time.
    fn walk(&self, avoid: u64, now: Instant, rng: &mut impl RngCore) -> Option<Picked<'_, K, S>> {
        // A call that has already failed once is not used as a probe, if another endpoint is up.
        if avoid == super::endpoint::NOBODY
            && let Some(probe) = self.probe()
        {
            return Some(probe);
        }
        let mut avoided = None;
        // Two at random out of an unknown number: reservoir sampling.
        let (mut two, mut seen) = ([None, None], 0_usize);
        for endpoint in self.rotation() {
            if endpoint.id == avoid {
                avoided = Some(endpoint);
                continue;
            }
            let slot = if seen < 2 {
                seen
            } else {
                rng.random_range(0..=seen)
            };
            if let Some(slot) = two.get_mut(slot) {
                *slot = Some(endpoint);
            }
            seen += 1;
        }
        let endpoint = match two {
            // In random order: of two with the same cost the first is taken, and the reservoir favours the first ones
            // of the set.
            [Some(a), Some(b)] if rng.random() => cheaper(b, a, now, rng),
            [Some(a), Some(b)] => cheaper(a, b, now, rng),
            [Some(one), _] => one,
            // Only the endpoint where it has just failed is left. One whose ejection has ended is more likely to
            // answer.
            [None, _] => match self.probe() {
                Some(probe) => return Some(probe),
                None => avoided?,
            },
        };
        Some((endpoint, endpoint.breaker.admit()))
    }

    /// An endpoint that needs a probe, for which this call is used.
    fn probe(&self) -> Option<Picked<'_, K, S>> {
        self.endpoints
            .iter()
            .filter(|e| !e.is_marked_unhealthy() && !e.is_closed())
            .find_map(|e| e.breaker.admit().map(|admission| (e, Some(admission))))
    }

    /// The endpoints that calls go to: those that are up, and those of the others that exceed the allowed share of
    /// ejected ones; all of them if none is up.
    ///
    /// It is computed each time from the state of each endpoint instead of being stored: a count of ejected endpoints
    /// could become wrong when endpoints are added, removed and change their state at the same time. The ejected ones
    /// are the first of the set, which keeps its order over updates.
    pub(super) fn rotation(&self) -> impl Iterator<Item = &Arc<Endpoint<K, S>>> {
        let none_up = !self.endpoints.iter().any(|e| e.is_up());
        let mut left_out_max = if none_up { 0 } else { self.left_out_max() };
        self.endpoints.iter().filter(move |endpoint| {
            let left_out = left_out_max > 0 && !endpoint.is_up();
            left_out_max -= usize::from(left_out);
            !left_out
        })
    }

    fn left_out_max(&self) -> usize {
        let len = self.endpoints.len();
        let share = len * usize::from(self.max_ejected_percent) / 100;
        share.min(len.saturating_sub(1))
    }
}

/// The cheaper one, unless it is warming in and this call is not in its share.
fn cheaper<'a, K, S>(
    a: &'a Arc<Endpoint<K, S>>,
    b: &'a Arc<Endpoint<K, S>>,
    now: Instant,
    rng: &mut impl RngCore,
) -> &'a Arc<Endpoint<K, S>> {
    let (winner, other) = if a.cost(now) <= b.cost(now) {
        (a, b)
    } else {
        (b, a)
    };
    let Some(share) = winner.warm_share(now) else {
        return winner;
    };
    // By chance, not by a higher cost: while there are few calls, the cheapest endpoint gets all of them, and one that
    // costs ten times as much would get none and stay cold.
    let gets_it = rng.random::<f32>() < share;
    // The other endpoint is not used at any price: if it is slower than the cold one by more than a factor of
    // 1 / share, the cold one is used after all.
    if gets_it || other.expected_us(now) * share > winner.expected_us(now) {
        winner
    } else {
        other
    }
}

#[cfg(test)]
mod tests;
