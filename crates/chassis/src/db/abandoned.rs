//! Statements that nobody waits for any more: a handler's future is dropped when its caller
//! disconnects or its deadline passes, and with it the future of a statement that PostgreSQL is
//! still working on.
//!
//! sqlx alone lets the statement run to its end and keeps the connection out of the pool meanwhile
//! (it waits for the answer before the connection may be used again), so a few impatient callers of
//! one slow query hold the whole pool. Here the connection is closed instead, and the server,
//! which looks after its client while it works ([`watch_client`]), ends the statement and rolls its
//! transaction back.
//!
//! Both are callbacks of the pool, so no service has to know. Turned down:
//!
//! * *a cancel request* (`pg_cancel_backend`, or the protocol's own): it would save the connection,
//!   but sqlx does not tell a connection's process id or secret, and a wrapper that keeps them would be in
//!   the signature of every function that runs SQL;
//! * *the server's check alone*: it helps only once the socket is closed, which sqlx does not do;
//! * *closing at once*: see [`GRACE`].

use std::time::Duration;

use sqlx::{Connection, PgConnection};

/// How long an abandoned statement may take to end by itself. About what a new connection costs on a
/// busy machine (a process of the server, a password check on both sides, cold caches): to wait longer
/// is dearer than to replace the connection, to wait less throws connections away for statements that were
/// as good as done, and for the mere `ROLLBACK` that a failed request leaves.
const GRACE: Duration = Duration::from_millis(100);

/// How often the server looks whether its client is still there while a statement runs: one poll of
/// a socket for each busy connection. It also ends the statements of a process that was killed.
const CLIENT_CHECK: Duration = Duration::from_millis(100);

/// Asks the server to look after its client. Not one of the options of the connection's start: a
/// server on a platform that cannot (Windows) would refuse the connection; so it only goes without,
/// and `statement_timeout` is what ends abandoned statements there.
pub(super) async fn watch_client(connection: &mut PgConnection) -> sqlx::Result<()> {
    let set = sqlx::query("SELECT set_config('client_connection_check_interval', $1, false)")
        .bind(CLIENT_CHECK.as_millis().to_string())
        // Not kept: it is asked once for each connection.
        .persistent(false)
        .execute(connection)
        .await;
    match set {
        Err(sqlx::Error::Database(error)) => {
            tracing::debug!(%error, "the database does not look after its clients");
            Ok(())
        }
        set => set.map(|_| ()),
    }
}

/// Whether a connection that was given back can go to the next user: true once nothing is under way
/// on it, which is at once unless a future was dropped. Else the pool closes it.
///
/// The pool runs this in a task of its own, after the caller has gone on.
pub(super) async fn settle(connection: &mut PgConnection, service: &str) -> bool {
    // Polls the work before it sets the timer: a connection at rest costs no timer.
    if let Ok(at_rest) = tokio::time::timeout(GRACE, finish(connection)).await {
        // Not to sqlx, which would warn of each connection that an outage has broken.
        return at_rest
            .inspect_err(|error| tracing::debug!(%error, service, "a connection is broken"))
            .is_ok();
    }
    tracing::debug!(service, "a statement was cancelled: nobody waits for it");
    metrics::counter!("db_statements_cancelled_total", "service" => service.to_owned())
        .increment(1);
    false
}

/// Sends what is queued (the `ROLLBACK` of a dropped transaction) and takes in what is due.
async fn finish(connection: &mut PgConnection) -> sqlx::Result<()> {
    loop {
        // `flush` is not in sqlx's documentation, but it is the one call that asks the server nothing when
        // nothing is due. `ping` would cost every statement another round trip.
        match connection.flush().await {
            // The abandoned statement failed. That is its own affair, not the connection's; what
            // comes after its error is still due.
            Err(sqlx::Error::Database(_)) => {}
            finished => return finished,
        }
    }
}
