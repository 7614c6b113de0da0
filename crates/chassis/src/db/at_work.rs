//! The bound on work of the database that may honestly take long, as a migration or the wait for another's: it is given up once
//! the database does not work on it any more, and not after a time.
//!
//! The connection itself tells nothing while its statement runs, whether the host works or is gone. So the database is asked about
//! the session by another connection.

use std::io;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

/// How often a session is looked at within the time after which its work is given up. Work that is done before the first look
/// costs none.
const LOOKS: u32 = 10;

/// The number by which the database knows the session of this connection.
pub(super) async fn session(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await
}

/// The result of `work`, which `session` does, however long it takes; the error of a broken connection once `limit` has passed
/// without a sign that the database works on it.
pub(super) async fn while_at_work<T>(
    pool: &PgPool,
    session: i32,
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = until_lost(pool, session, limit) => {
            Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
        }
    }
}

/// Ends once `limit` has passed without a sign of the session.
async fn until_lost(pool: &PgPool, session: i32, limit: Duration) {
    while tokio::time::timeout(limit, sign_of(pool, session, limit))
        .await
        .is_ok()
    {}
}

/// Waits for the next sign that the database works for the session.
async fn sign_of(pool: &PgPool, session: i32, limit: Duration) {
    loop {
        tokio::time::sleep(limit / LOOKS).await;
        if is_at_work(pool, session, limit).await {
            return;
        }
    }
}

/// Whether the session executes a statement, or waits in it for a lock, or has been idle for less than `limit`. One that is idle
/// for longer has sent its answer, which was lost on its way.
async fn is_at_work(pool: &PgPool, session: i32, limit: Duration) -> bool {
    let looked: sqlx::Result<bool> = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1
             AND (state NOT LIKE 'idle%' OR state_change > now() - make_interval(secs => $2)))",
    )
    .bind(session)
    .bind(limit.as_secs_f64())
    .fetch_one(pool)
    .await;
    match looked {
        Ok(is_at_work) => is_at_work,
        // It is there, and does not take the question, e.g. since all its connections are in use: that says nothing of the work.
        Err(sqlx::Error::Database(_)) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than the test takes.
    const LONG: Duration = Duration::from_secs(3600);

    /// Waits until the session is at work, or is not.
    async fn until(pool: &PgPool, pid: i32, limit: Duration, wanted: bool) {
        let seen = async {
            while is_at_work(pool, pid, limit).await != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
        seen.unwrap_or_else(|_| panic!("never: at work is {wanted}"));
    }

    #[tokio::test]
    async fn a_session_is_at_work_while_it_executes_a_statement() {
        let database = embedded::testing::fresh_database();
        let pool = PgPool::connect(&database.url).await.expect("a database");
        let mut worker = pool.acquire().await.expect("a connection").detach();
        let pid = session(&mut worker).await.expect("a number");
        // Between two statements.
        until(&pool, pid, LONG, true).await;
        // Without a statement since longer than it may be.
        until(&pool, pid, Duration::ZERO, false).await;
        let work = tokio::spawn(async move {
            let long = sqlx::query("SELECT pg_sleep(3600)");
            long.execute(&mut worker).await.map(drop)
        });
        until(&pool, pid, Duration::ZERO, true).await;
        let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
        end.execute(&pool).await.expect("an end");
        // The connection is gone, whatever its owner heard of that.
        until(&pool, pid, LONG, false).await;
        work.await.expect("no panic").expect_err("it was ended");
    }
}
