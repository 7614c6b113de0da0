//! Which endpoint a call is given to.

use std::sync::Arc;

use rand::{Rng, RngCore};
use tokio::time::Instant;

use crate::circuit_breaker::Admission;

use super::endpoint::Endpoint;

/// The endpoints as of one update; never changed, only replaced.
pub(super) struct Set<K, S> {
    pub(super) generation: u64,
    pub(super) endpoints: Vec<Arc<Endpoint<K, S>>>,
    pub(super) max_ejected_percent: u8,
}

/// The endpoint, and what its breaker wants to see again if it let the call in.
pub(super) type Picked<'a, K, S> = (&'a Arc<Endpoint<K, S>>, Option<Admission>);

impl<K, S> Set<K, S> {
    /// The endpoint for a call; not `avoid` if there is another. `None` if there are no endpoints.
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
                // Nearly always. Pairs with one that is not up are thrown away, which leaves all other pairs equally
                // likely; the walk draws evenly, too.
                if [a, b].iter().all(|e| e.id != avoid && e.is_up()) {
                    cheaper(a, b, now, rng)
                } else {
                    return self.walk(avoid, now, rng);
                }
            }
        };
        Some((endpoint, endpoint.breaker.admit()))
    }

    /// Two endpoints drawn at random, not the same. There must be two.
    fn two(&self, rng: &mut impl RngCore) -> [&Arc<Endpoint<K, S>>; 2] {
        // One draw for both: half a word, scaled down, is even to one in four thousand million.
        let (bits, len) = (rng.next_u64(), self.endpoints.len() as u64);
        let a = ((bits >> 32) * len) >> 32;
        let b = ((bits & 0xffff_ffff) * (len - 1)) >> 32;
        let b = if b < a { b } else { b + 1 };
        [a, b].map(|index| &self.endpoints[index as usize])
    }

    /// While something is wrong, or for a retry, all endpoints are looked at; it takes no memory, only time.
    fn walk(&self, avoid: u64, now: Instant, rng: &mut impl RngCore) -> Option<Picked<'_, K, S>> {
        // A call that failed once is not spent on a probe, if there is another endpoint that is up.
        if avoid == super::endpoint::NOBODY
            && let Some(probe) = self.probe()
        {
            return Some(probe);
        }
        let mut avoided = None;
        // Two of unknown many at random: reservoir sampling.
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
            // In any order: of two that cost the same the first is taken, and the reservoir favours the first of the set.
            [Some(a), Some(b)] if rng.random() => cheaper(b, a, now, rng),
            [Some(a), Some(b)] => cheaper(a, b, now, rng),
            [Some(one), _] => one,
            // Only where it failed a moment ago. One whose time out is over is more likely to answer.
            [None, _] => match self.probe() {
                Some(probe) => return Some(probe),
                None => avoided?,
            },
        };
        Some((endpoint, endpoint.breaker.admit()))
    }

    /// An endpoint that is to be probed by this call.
    fn probe(&self) -> Option<Picked<'_, K, S>> {
        self.endpoints
            .iter()
            .filter(|e| !e.is_marked_unhealthy() && !e.is_closed())
            .find_map(|e| e.breaker.admit().map(|admission| (e, Some(admission))))
    }

    /// The endpoints that calls go to: those that are up; of the others those that are too many to be left out; all
    /// of them if none is up.
    ///
    /// It is decided anew each time from what each endpoint says, not kept: there is no count of ejected
    /// ones that could go wrong when endpoints come, go or change their minds at the same time. Those left out are the
    /// first of the set, which keeps its order over updates.
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

/// The cheaper one, unless it is warming in and this is not one of the calls that it gets.
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
    // By chance, not by a higher cost: while calls are few, the cheapest endpoint gets all of them, and one that
    // costs ten times as much would get none and stay cold.
    let gets_it = rng.random::<f32>() < share;
    // Nor is a cold endpoint spared at any price: one that is ten times slower is no refuge.
    if gets_it || other.expected_us(now) * share > winner.expected_us(now) {
        winner
    } else {
        other
    }
}

#[cfg(test)]
mod tests;
