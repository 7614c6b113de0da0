//! The limit of concurrent conversations with the mail server.

use std::time::Duration;

use tokio::sync::Semaphore;

/// Places for active conversations, and separate places for those that wait for the server.
///
/// With only one kind of place, as many unresponsive connections as there are places would stop all mail for as long as
/// the longest time limit. So a conversation that takes long moves to a waiting place and frees its own.
pub(super) struct Places {
    working: Semaphore,
    waiting: Semaphore,
    slow_after: Duration,
}

impl Places {
    pub(super) fn new(working: u32, waiting: u32, slow_after: Duration) -> Self {
        Self {
            working: Semaphore::new(working as usize),
            waiting: Semaphore::new(waiting as usize),
            slow_after,
        }
    }

    /// Runs the work once there is a place for it.
    pub(super) async fn occupy<T>(&self, work: impl Future<Output = T>) -> T {
        let working = self.working.acquire().await.expect("never closed");
        tokio::pin!(work);
        let slow = async {
            tokio::time::sleep(self.slow_after).await;
            self.waiting.acquire().await.expect("never closed")
        };
        // While all waiting places are taken, it keeps its own place.
        let _waiting = tokio::select! {
            done = &mut work => return done,
            place = slow => place,
        };
        drop(working);
        work.await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SLOW: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_free_their_places_until_all_waiting_places_are_taken() {
        let places = Places::new(2, 3, SLOW);
        let mut stuck = tokio::task::JoinSet::new();
        let places = std::sync::Arc::new(places);
        let mut hang = |count: usize| {
            for _ in 0..count {
                let places = std::sync::Arc::clone(&places);
                stuck.spawn(async move { places.occupy(pending::<()>()).await });
            }
        };
        hang(3);
        // The first two, then the third: all of them wait.
        places.occupy(ready(())).await;
        tokio::time::sleep(3 * SLOW).await;
        assert_eq!(
            (
                places.waiting.available_permits(),
                places.working.available_permits()
            ),
            (0, 2)
        );
        places.occupy(ready(())).await;
        hang(2);
        tokio::time::sleep(10 * SLOW).await;
        let more = tokio::time::timeout(SLOW, places.occupy(ready(()))).await;
        assert!(more.is_err(), "the limit holds");
        stuck.shutdown().await;
        places.occupy(ready(())).await;
    }
}
