//! A stream of all users, without holding all of them in memory.

use std::vec;

use chassis::db;
use futures::{Stream, stream};
use uuid::Uuid;

use crate::domain::User;

/// Rows read at a time by default.
pub const DEFAULT_PAGE_ROWS: u32 = 100;
/// The most rows read at a time, which limits the memory of one call.
pub const MAX_PAGE_ROWS: u32 = 1000;

/// The position of a listing.
struct Position<F> {
    /// Reads a page.
    fetch: F,
    /// The users that were read but not yet returned.
    page: vec::IntoIter<User>,
    /// The last user of that page.
    after: Option<Uuid>,
    /// Whether that page is the last one.
    is_last: bool,
}

/// All users behind `after`, oldest first, from pages of `rows` that `fetch` reads: the users after an id, so many at most.
///
/// A page is read when the one before has been taken to its end, and not before: whoever reads slowly makes
/// the database wait, not the memory grow. This is why there is no task that reads ahead into a channel;
/// the stream itself is the bound, [`MAX_PAGE_ROWS`] for each caller.
///
/// A page that does not come within [`db::ANSWER_TIMEOUT`] is an outage. The deadline of the call ends with the
/// beginning of its answer, so nothing else would end the wait for a database that is gone without a word.
pub fn users<F, P, E>(
    after: Option<Uuid>,
    rows: u32,
    fetch: F,
) -> impl Stream<Item = Result<User, E>>
where
    F: Fn(Option<Uuid>, u32) -> P,
    P: Future<Output = Result<Vec<User>, E>>,
    E: From<sqlx::Error>,
{
    let start = Position {
        fetch,
        page: Vec::new().into_iter(),
        after,
        is_last: false,
    };
    stream::try_unfold(start, move |mut position| async move {
        loop {
            if let Some(user) = position.page.next() {
                return Ok(Some((user, position)));
            }
            if position.is_last {
                return Ok(None);
            }
            let page = (position.fetch)(position.after, rows);
            let page = db::within(db::ANSWER_TIMEOUT, page).await?;
            position.is_last = page.len() < rows as usize;
            position.after = page.last().map(|user| user.id);
            position.page = page.into_iter();
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Ready, pending, ready},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use chrono::DateTime;
    use futures::{StreamExt as _, TryStreamExt as _, pin_mut};
    use tokio::time::timeout;

    use super::*;

    type Page = Ready<sqlx::Result<Vec<User>>>;

    /// Reads from a table of `count` users; `read` counts the rows read.
    fn table(count: u128, read: &AtomicUsize) -> impl Fn(Option<Uuid>, u32) -> Page + use<'_> {
        move |after, rows| {
            let first = after.map_or(1, |id| id.as_u128() + 1);
            let page: Vec<_> = (first..=count)
                .take(rows as usize)
                .map(|id| User {
                    id: Uuid::from_u128(id),
                    email: String::new(),
                    name: String::new(),
                    created_at: DateTime::UNIX_EPOCH,
                })
                .collect();
            read.fetch_add(page.len(), Ordering::Relaxed);
            ready(Ok(page))
        }
    }

    #[tokio::test]
    async fn never_more_than_a_page_ahead_of_the_reader() {
        let read = AtomicUsize::new(0);
        let stream = users(None, 100, table(10_000, &read));
        pin_mut!(stream);
        assert_eq!(
            read.load(Ordering::Relaxed),
            0,
            "nothing before it is asked for"
        );
        for taken in 1..=10_000 {
            let user = stream.next().await.unwrap().unwrap();
            assert_eq!(user.id.as_u128(), taken as u128);
            let ahead = read.load(Ordering::Relaxed) - taken;
            assert!(
                ahead < 100,
                "{ahead} users wait for a reader that took {taken}"
            );
        }
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn each_user_once_wherever_the_pages_end() {
        for count in [0, 1, 4, 5, 6, 10, 11] {
            let ids: Vec<_> = users(None, 5, table(count, &AtomicUsize::new(0)))
                .map_ok(|user| user.id.as_u128())
                .try_collect()
                .await
                .unwrap();
            assert_eq!(ids, (1..=count).collect::<Vec<_>>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_never_comes_ends_the_list() {
        let stream = users(None, 100, |_, _| pending::<sqlx::Result<Vec<User>>>());
        pin_mut!(stream);
        let ended = timeout(2 * db::ANSWER_TIMEOUT, stream.next()).await;
        let error = ended.expect("an end in time").unwrap().unwrap_err();
        assert!(db::is_unavailable(&error), "{error:?}");
        assert!(stream.next().await.is_none());
    }
}
