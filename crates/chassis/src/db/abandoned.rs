//! Abandoned statements: the future of a handler is dropped when its caller disconnects or its deadline passes, and
//! with it the future of a statement that PostgreSQL is still executing.
//!
//! sqlx alone lets the statement run to its end and keeps the connection out of the pool in the meantime (it waits for
//! the answer before the connection may be used again), so that a few impatient callers of one slow query occupy the
//! whole pool. Here the connection is closed instead, and the server, which checks during a statement whether its
//! client is still connected ([`watch_client`]), ends the statement and rolls its transaction back.
//!
//! Both are callbacks of the pool, so that services need not know about them. Rejected alternatives:
//!
//! * *a cancel request* (`pg_cancel_backend`, or the protocol's own): it would save the connection, but sqlx exposes
//!   neither the process id nor the secret of a connection, and a wrapper that keeps them would be in the signature of
//!   every function that runs SQL;
//! * *the server's check alone*: it has an effect only once the socket is closed, which sqlx does not do;
//! * *closing at once*: see [`GRACE`].

use std::time::Duration;

use sqlx::{Connection, PgConnection};

/// How long an abandoned statement may take to end by itself. About the cost of a new connection on a busy machine (a
/// server process, a password check on both sides, cold caches). Waiting longer is more expensive than replacing the
/// connection; waiting less would close connections for statements that were almost done, and for the mere `ROLLBACK`
/// that a failed request leaves.
const GRACE: Duration = Duration::from_millis(100);

/// How often the server checks during a statement whether its client is still connected: one poll of a socket for each
/// busy connection. It also ends the statements of a process that was killed.
const CLIENT_CHECK: Duration = Duration::from_millis(100);

/// Enables the server's check of its client. It is not set as a start-up option of the connection, because a server on
/// a platform without support (Windows) would refuse the connection; this way it only runs without the check, and
/// abandoned statements end by `statement_timeout` there.
pub(super) async fn watch_client(connection: &mut PgConnection) -> sqlx::Result<()> {
    let set = sqlx::query("SELECT set_config('client_connection_check_interval', $1, false)")
        .bind(CLIENT_CHECK.as_millis().to_string())
        // Not cached as a prepared statement, since it runs once for each connection.
        .persistent(false)
        .execute(connection)
        .await;
    match set {
        Err(sqlx::Error::Database(error)) => {
            tracing::debug!(%error, "the database does not check whether its clients are still connected: client_connection_check_interval is not supported");
            Ok(())
        }
        set => set.map(|_| ()),
    }
}

/// Whether a connection that was returned can be reused: true once nothing is in progress on it, which is at once
/// unless a future was dropped. If false, the pool closes it.
///
/// The pool runs this in a separate task, after the caller has continued.
pub(super) async fn settle(connection: &mut PgConnection, service: &str) -> bool {
    // `timeout` polls the work before it sets the timer, so that an idle connection costs no timer.
    if let Ok(at_rest) = tokio::time::timeout(GRACE, finish(connection)).await {
        // The error does not go to sqlx, which would log a warning for each connection that an outage has broken.
        return at_rest
            .inspect_err(|error| tracing::debug!(%error, service, "a connection is broken"))
            .is_ok();
    }
    tracing::debug!(service, "a statement was cancelled: nobody waits for it");
    metrics::counter!("db_statements_cancelled_total", "service" => service.to_owned())
        .increment(1);
    false
}

/// Sends what is queued (the `ROLLBACK` of a dropped transaction) and reads the pending responses.
async fn finish(connection: &mut PgConnection) -> sqlx::Result<()> {
    loop {
        // `flush` is undocumented in sqlx, but it is the only call that sends nothing to the server if nothing is
        // pending. `ping` would cost every statement another round trip.
        match connection.flush().await {
            // The abandoned statement failed. That does not affect the connection; the responses after the error are
            // still pending.
            Err(sqlx::Error::Database(_)) => {}
            finished => return finished,
        }
    }
}
