//! The host of the queue's database is gone without a word: nothing ends its connections, and no answer comes.

use std::time::Duration;

use embedded::testing::Link;
use futures::future::join_all;
use messaging::dead_letters::DeadLetterStore;
use messaging::pg_queue::{PgDeadLetters, PgQueue};
use messaging::{Destination, Message, MessagingError, PublishError, Publisher, Queue};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgPool};
use tokio::time::timeout;

use crate::support::eventually;

/// Far longer than anybody may wait.
const FOREVER: Duration = Duration::from_secs(3600);

/// A database behind a link, and a pool with all of its connections. They are taken without a question whether they are good.
async fn linked(connections: u32) -> (PgPool, Link) {
    linked_by(PgPoolOptions::new(), connections).await
}

/// The same with a pool that has these options besides.
async fn linked_by(options: PgPoolOptions, connections: u32) -> (PgPool, Link) {
    let database = embedded::testing::fresh_database();
    let (link, url) = Link::to_database(&database.url).await;
    let pool = options
        .max_connections(connections)
        .test_before_acquire(false)
        .connect(&url)
        .await
        .unwrap();
    let all = join_all((0..connections).map(|_| pool.acquire())).await;
    assert!(all.iter().all(Result::is_ok));
    drop(all);
    (pool, link)
}

/// Makes the database silent once all connections are there. From then on only time passes, and on this clock at once.
async fn silence(pool: &PgPool, link: &Link) {
    let all = pool.options().get_max_connections() as usize;
    eventually("idle connections", async || pool.num_idle() == all).await;
    link.silence();
    tokio::time::pause();
}

/// What becomes of `work`, which must end.
async fn ended<T>(work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(FOREVER, work).await;
    ended.expect("an end")
}

fn assert_late<T>(answer: Result<T, MessagingError>) {
    let error = answer.err();
    let late = Some(MessagingError::Database(sqlx::Error::Io(
        std::io::ErrorKind::TimedOut.into(),
    )));
    assert_eq!(format!("{error:?}"), format!("{late:?}"));
}

#[tokio::test]
async fn a_start_gives_it_up() {
    // One connection: there is no other unless the silent one is closed.
    let (pool, link) = linked(1).await;
    let queue = PgQueue::new(pool.clone());
    silence(&pool, &link).await;
    assert_late(ended(queue.install()).await);
    tokio::time::resume();
    link.mend();
    queue.install().await.unwrap();
}

#[tokio::test]
async fn whoever_has_no_limit_of_its_own_gives_it_up() {
    let (pool, link) = linked(10).await;
    let queue = PgQueue::new(pool.clone());
    queue.install().await.unwrap();
    queue.declare("jobs").await.unwrap();
    let dead = Destination::Queue("jobs.dead".to_owned());
    queue.publish(&dead, Message::new("x")).await.unwrap();
    let letters = PgDeadLetters::of(pool.clone(), ["jobs"]);
    let mut visit = letters.visit("jobs.dead").await.unwrap();
    let letter = visit.next().await.unwrap().unwrap();
    silence(&pool, &link).await;

    // Each by a connection of its own, which it does not give back.
    assert_late(ended(queue.declare("more")).await);
    assert_late(ended(queue.bind("facts", "jobs")).await);
    let published = ended(queue.publish(&dead, Message::new("y"))).await;
    assert!(matches!(published, Err(PublishError::Unavailable(_))));
    assert_late(ended(letters.places()).await);
    assert_late(ended(letters.count("jobs.dead")).await);
    assert_late(ended(visit.redrive(&letter)).await);
    assert_late(ended(visit.discard(&letter)).await);
    assert_late(ended(visit.next()).await);
}

/// The hook that the README has for a pool: without it the pool waits for the answer that nobody else waits for any more.
#[tokio::test]
async fn a_pool_with_the_hook_has_its_places_again() {
    let options = PgPoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            let at_rest = timeout(Duration::from_secs(1), connection.ping()).await;
            Ok(matches!(at_rest, Ok(Ok(()))))
        })
    });
    let (pool, link) = linked_by(options, 1).await;
    let queue = PgQueue::new(pool.clone());
    queue.install().await.unwrap();
    silence(&pool, &link).await;
    assert_late(ended(queue.declare("jobs")).await);
    eventually("the silent one is closed", async || pool.size() == 0).await;
    tokio::time::resume();
    link.mend();
    queue.declare("jobs").await.unwrap();
}
