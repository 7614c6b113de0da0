//! PostgreSQL: a connection pool that can be created before the database is reachable, and the wait for it.
//!
//! If the future of a statement is dropped (its caller disconnected, its deadline passed), the statement is cancelled
//! in the database, too.

mod abandoned;
mod answer;
mod at_work;
mod purge;
mod start;
pub(crate) mod tls;
mod together;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::health::Dependency;
use crate::{Fatal, Shutdown, fatal};

pub use answer::{ANSWER_TIMEOUT, within};
pub use purge::purge_regularly;
pub use start::{migrate, until_available};
pub use together::{acquire_for_all, outage_of_all};

/// How long a request may wait for a connection of the pool. Shorter than a gateway's attempt (3 s), so that it hears our
/// refusal with its retry delay; a time-out of its own would count against us.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time that PostgreSQL may spend on one statement.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// A transaction that its owner leaves idle is aborted after this time, and its locks are released.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that was idle for this long is pinged before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
/// How statements are planned: by indexes wherever there is one. A plan is kept for as long as its connection, and one that was
/// made while a table was small, or empty as a queue is between two messages, would read all of it when it is not any more. And
/// never compiled: where there is no index, the estimated cost is now so high that compiling would seem to pay.
const PLANS: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];
/// The interval of the checks of a database that is up.
const PING: Duration = Duration::from_secs(2);

/// A pool that opens its connections when they are first used. Creating it never fails because the server is
/// unreachable; statements do.
///
/// A statement that is abandoned, i.e. whose future is dropped before its end, is ended in the database about 0.2 s
/// later (with its transaction), and its connection is replaced. An abandoned statement that ends by itself within 0.1
/// s costs no connection. Counted as `db_statements_cancelled_total`.
///
/// # Errors
/// If the URL cannot be parsed, or asks for TLS in a way that has no effect; the message does not quote the URL, since it
/// holds the password.
pub fn connect(url: &str, max_connections: u32, service: &str) -> Result<PgPool, Fatal> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| Fatal::new("the database's URL cannot be read: it takes postgres://user:password@host:5432/database"))?;
    tls::check(url)
        .map_err(|why| Fatal::new(format!("the database's URL cannot be used: {why}")))?;
    let options = options.application_name(service).options([
        (
            "statement_timeout",
            STATEMENT_TIMEOUT.as_millis().to_string(),
        ),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_TIMEOUT.as_millis().to_string(),
        ),
    ]);
    let options = options.options(PLANS);
    let service: Arc<str> = service.into();
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before each use would double the round trips; without any ping, one statement for each connection
        // would fail after every restart of the server.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                let rested = meta.idle_for >= PING_AFTER_IDLE;
                // The error is dropped: sqlx would log a warning for each connection that an outage has broken.
                Ok(!rested || connection.ping().await.is_ok())
            })
        })
        .after_connect(|connection, _| Box::pin(abandoned::watch_client(connection)))
        .after_release(move |connection, _| {
            let service = Arc::clone(&service);
            Box::pin(async move { Ok(abandoned::settle(connection, &service).await) })
        })
        .connect_lazy_with(options))
}

/// Pings the database every 2 s and reports the result to `dependency`. Runs until the shutdown.
pub async fn watch(pool: PgPool, dependency: Dependency, shutdown: Shutdown) {
    loop {
        let ping = tokio::time::timeout(ACQUIRE_TIMEOUT, sqlx::query("SELECT 1").execute(&pool));
        match ping.await {
            Ok(Ok(_)) => dependency.up(),
            Ok(Err(error)) => dependency.down(reason(&error)),
            Err(_) => dependency.down(format!("no answer in {ACQUIRE_TIMEOUT:?}")),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PING) => {}
        }
    }
}

/// Whether the database could not be reached or could not answer, so that the same statement may succeed later.
/// Services then answer with 503 or `UNAVAILABLE`, and consumers retry.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // An incomplete exchange: a proxy, or a server that shuts down, closed the connection during a handshake.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient(&code)),
        _ => false,
    }
}

/// SQLSTATE classes: 08 connection, 53 too many connections or no space, 57P0x shutting down or
/// starting up; 57014 the statement timeout, 55P03 the lock timeout, 55000 a database that takes no connections at the moment,
/// 25006 one that can only be read: a standby, before it is promoted or after another one was.
fn is_transient(code: &str) -> bool {
    ["08", "53", "57P0"]
        .iter()
        .any(|class| code.starts_with(class))
        || ["57014", "55P03", "55000", "25006"].contains(&code)
}

/// The reason for the log and `/readyz`. sqlx's errors contain no URL and no password.
fn reason(error: &dyn std::error::Error) -> String {
    fatal::one_line(&fatal::chain(error))
}
