//! Group commit: calls that come while a statement is under way share the next one.
//!
//! No call waits for others to join it: one that finds no statement under way runs alone and at once. The more calls
//! there are, the more of them share a statement, and the less each costs. For handlers that write a row for each message,
//! and for whole transactions of such.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::time::{Instant, sleep_until};

/// Calls that go into one statement, at most, unless items have weights.
const GROUP_MAX: usize = 128;

/// Items of concurrent calls, handled in groups of up to 128, or up to a [weight](Self::weighed). `T` goes in, `R` comes out
/// for each.
///
/// The idea is that of Helland et al., *Group Commit Timers and High Volume Transaction Systems* (1987), without the timer.
#[derive(Debug)]
pub struct Together<T, R> {
    /// One item for each call under way. Bounded by the callers: relays and consumers limit theirs.
    waiting: Mutex<Vec<Waiting<T, R>>>,
    /// The call that holds it leads: it handles a group, with the items of other calls. So there is no task to start
    /// or to stop.
    turn: Turn<()>,
    /// When the group began that is under way.
    begun: Mutex<Option<Instant>>,
    calls: AtomicU64,
    /// The most that the items of a group may weigh together.
    max: usize,
    weigh: fn(&T) -> usize,
}

/// An item that is in no group yet, and where its result goes.
#[derive(Debug)]
struct Waiting<T, R> {
    item: T,
    answer: oneshot::Sender<R>,
    /// Of the call.
    number: u64,
}

impl<T, R> Default for Together<T, R> {
    fn default() -> Self {
        Self::weighed(GROUP_MAX, |_| 1)
    }
}

impl<T, R> Together<T, R> {
    /// Groups that weigh no more than `max` together. One item is a group, whatever it weighs.
    #[must_use]
    pub fn weighed(max: usize, weigh: fn(&T) -> usize) -> Self {
        Self {
            waiting: Mutex::default(),
            turn: Turn::default(),
            begun: Mutex::default(),
            calls: AtomicU64::default(),
            max,
            weigh,
        }
    }

    /// Handles the item, alone or in a group: `handle` gets the group and returns a result for each of its items, in
    /// their order. `None` if the leader of the group was cancelled, or returned no result for our item: its statement
    /// may have run.
    pub async fn call<F>(&self, item: T, handle: impl Fn(Vec<T>) -> F) -> Option<R>
    where
        F: Future<Output = Vec<R>>,
    {
        self.join(item, None, handle).await.ok().flatten()
    }

    /// The same, but it waits for no group that has been under way for longer than `patience`.
    ///
    /// # Errors
    /// The item, if that is so: in no group, and nothing was done about it.
    pub async fn call_within<F>(
        &self,
        patience: Duration,
        item: T,
        handle: impl Fn(Vec<T>) -> F,
    ) -> Result<Option<R>, T>
    where
        F: Future<Output = Vec<R>>,
    {
        self.join(item, Some(patience), handle).await
    }

    async fn join<F>(
        &self,
        item: T,
        patience: Option<Duration>,
        handle: impl Fn(Vec<T>) -> F,
    ) -> Result<Option<R>, T>
    where
        F: Future<Output = Vec<R>>,
    {
        let (answer, mut answered) = oneshot::channel();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        self.waiting().push(Waiting {
            item,
            answer,
            number,
        });
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut answered => return Ok(answer.ok()),
                turn = self.turn.lock() => turn,
                () = self.lasts(patience) => match self.give_up(number) {
                    Some(item) => return Err(item),
                    // It is in the group that takes so long.
                    None => return Ok(answered.await.ok()),
                },
            };
            // The last leader may have handled our item meanwhile.
            match answered.try_recv() {
                Ok(answer) => return Ok(Some(answer)),
                Err(oneshot::error::TryRecvError::Closed) => return Ok(None),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            *self.begun.lock() = Some(Instant::now());
            let (items, answers) = self.next_group();
            for (answer, to) in handle(items).await.into_iter().zip(answers) {
                // A caller that was cancelled needs no result.
                to.send(answer).ok();
            }
            *self.begun.lock() = None;
            drop(turn);
        }
    }

    /// Ends when the group that is under way has been so for longer than `patience`.
    async fn lasts(&self, patience: Option<Duration>) {
        let Some(patience) = patience else {
            return std::future::pending().await;
        };
        loop {
            let begun = *self.begun.lock();
            sleep_until(begun.unwrap_or_else(Instant::now) + patience).await;
            // Unless another one has begun meanwhile.
            if *self.begun.lock() == begun {
                return;
            }
        }
    }

    /// Takes back the item of a call; `None` if it is in a group.
    fn give_up(&self, number: u64) -> Option<T> {
        let mut waiting = self.waiting();
        let at = waiting.iter().position(|call| call.number == number)?;
        Some(waiting.remove(at).item)
    }

    /// The oldest items whose callers still wait, up to the limit of a group, and where their results go.
    fn next_group(&self) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        waiting.retain(|call| !call.answer.is_closed());
        let mut weight = 0;
        let mut fits = |call: &Waiting<T, R>| {
            weight += (self.weigh)(&call.item);
            weight <= self.max
        };
        let count = waiting.iter().take_while(|call| fits(call)).count();
        let count = count.max(1).min(waiting.len());
        let group = waiting.drain(..count);
        group.map(|call| (call.item, call.answer)).unzip()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<T, R>>> {
        self.waiting.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, a group for each permit.
    struct Doubler {
        together: Together<u32, u32>,
        groups: Mutex<Vec<Vec<u32>>>,
        gate: Semaphore,
    }

    impl Doubler {
        fn new() -> Arc<Self> {
            Self::grouping(Together::default())
        }

        fn grouping(together: Together<u32, u32>) -> Arc<Self> {
            Arc::new(Self {
                together,
                groups: Mutex::default(),
                gate: Semaphore::new(0),
            })
        }

        async fn call(self: Arc<Self>, item: u32) -> Option<u32> {
            self.together.call(item, |items| self.double(items)).await
        }

        async fn double(&self, items: Vec<u32>) -> Vec<u32> {
            self.groups.lock().push(items.clone());
            self.gate.acquire().await.unwrap().forget();
            items.into_iter().map(|item| item * 2).collect()
        }

        /// Waits until that many calls have begun.
        async fn busy(&self, waiting: usize, groups: usize) {
            while self.together.waiting().len() != waiting || self.groups.lock().len() != groups {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_comes_meanwhile_goes_together_and_each_gets_its_own_answer() {
        let doubler = Doubler::new();
        let first = tokio::spawn(Arc::clone(&doubler).call(1));
        doubler.busy(0, 1).await;
        let mut others = Vec::new();
        for item in 2..=5 {
            others.push(tokio::spawn(Arc::clone(&doubler).call(item)));
            doubler.busy(others.len(), 1).await;
        }
        doubler.gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(2));
        for (item, other) in (2..).zip(others) {
            assert_eq!(other.await.unwrap(), Some(item * 2));
        }
        assert_eq!(*doubler.groups.lock(), [vec![1], vec![2, 3, 4, 5]]);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_takes_nobody_with_it_but_those_in_its_hands() {
        let doubler = Doubler::new();
        let leader = tokio::spawn(Arc::clone(&doubler).call(1));
        doubler.busy(0, 1).await;
        let gone = tokio::spawn(Arc::clone(&doubler).call(2));
        doubler.busy(1, 1).await;
        let stays = tokio::spawn(Arc::clone(&doubler).call(3));
        doubler.busy(2, 1).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        leader.abort();
        doubler.gate.add_permits(1);
        assert_eq!(stays.await.unwrap(), Some(6));
        assert_eq!(*doubler.groups.lock(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn a_group_has_a_limit() {
        let doubler = Doubler::new();
        let first = tokio::spawn(Arc::clone(&doubler).call(0));
        doubler.busy(0, 1).await;
        let others: Vec<_> = (0..GROUP_MAX + 1)
            .map(|_| tokio::spawn(Arc::clone(&doubler).call(1)))
            .collect();
        doubler.busy(others.len(), 1).await;
        doubler.gate.add_permits(3);
        first.await.unwrap();
        for other in others {
            assert_eq!(other.await.unwrap(), Some(2));
        }
        let sizes: Vec<_> = doubler.groups.lock().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, GROUP_MAX, 1]);
    }

    #[tokio::test]
    async fn a_group_weighs_no_more_than_it_may_but_for_a_single_item() {
        let doubler = Doubler::grouping(Together::weighed(5, |item| *item as usize));
        let first = tokio::spawn(Arc::clone(&doubler).call(0));
        doubler.busy(0, 1).await;
        let mut others = Vec::new();
        for item in [2, 3, 9, 1] {
            others.push(tokio::spawn(Arc::clone(&doubler).call(item)));
            doubler.busy(others.len(), 1).await;
        }
        doubler.gate.add_permits(4);
        first.await.unwrap();
        for other in others {
            other.await.unwrap().unwrap();
        }
        let groups = [vec![0], vec![2, 3], vec![9], vec![1]];
        assert_eq!(*doubler.groups.lock(), groups);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_patient_for_a_while_only_takes_its_item_back_from_behind_a_group_that_hangs() {
        const PATIENCE: Duration = Duration::from_millis(100);
        let doubler = Doubler::new();
        let first = tokio::spawn(Arc::clone(&doubler).call(1));
        doubler.busy(0, 1).await;
        let begun = Instant::now();
        let together = &doubler.together;
        let call = |item| together.call_within(PATIENCE, item, |items| doubler.double(items));
        assert_eq!(call(2).await, Err(2));
        assert_eq!(begun.elapsed().as_millis(), PATIENCE.as_millis());
        // Nobody waits for it again.
        assert_eq!(call(3).await, Err(3));
        assert!(begun.elapsed() < PATIENCE * 2);
        assert_eq!(together.waiting().len(), 0);
        doubler.gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(2));
        assert_eq!(call(4).await, Ok(Some(8)));
        assert_eq!(*doubler.groups.lock(), [vec![1], vec![4]]);
    }
}
