//! Preparation of the database, or of another engine, before a service can work.

use std::time::Duration;

use backoff::Backoff;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, PgConnection, PgPool};

use super::{ACQUIRE_TIMEOUT, reason};
use crate::health::Dependency;
use crate::{Fatal, Shutdown};

/// The pauses between attempts to reach an engine: first and longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Repeats `attempt` until it succeeds, as long as the engine that it needs is unreachable: the parts of a system can
/// be started in any order, and an engine may become unreachable during a start.
///
/// `is_unavailable` recognises transient errors ([`is_unavailable`](super::is_unavailable) for sqlx's own). They are
/// reported to `dependency`, which logs an outage once. An attempt may be repeated after it was partly done, so all of
/// its steps must be idempotent.
///
/// Returns `Ok` also if the shutdown begins first.
///
/// # Errors
/// The first error that waiting cannot repair, e.g. a migration that fails or a user that is refused.
pub async fn until_available<E, F>(
    dependency: &Dependency,
    shutdown: &Shutdown,
    is_unavailable: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<(), Fatal>
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        let attempted = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            attempted = attempt() => attempted,
        };
        match attempted {
            Ok(()) => {
                dependency.up();
                return Ok(());
            }
            Err(error) if is_unavailable(&error) => dependency.down(reason(&error)),
            Err(error) => {
                let doing = format!("preparing {}", dependency.name());
                return Err(Fatal::from(error).context(doing));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

/// Migrates the schema under sqlx's own advisory lock, since several replicas may start at once.
///
/// Migrations of a newer version that were applied already are left alone: while a deploy is under way, and after one that is
/// taken back, instances of the version before start as well.
///
/// # Errors
/// Errors of the database; [`sqlx::Error::Migrate`] for a migration that was changed after it ran.
pub async fn migrate(pool: &PgPool, migrator: &Migrator) -> Result<(), sqlx::Error> {
    // A separate connection, closed afterwards: the lock belongs to the session, and must be released with it even if
    // this future is dropped half-way. A migration may also take longer than a request.
    let options = (*pool.connect_options())
        .clone()
        .options([("statement_timeout", "0")]);
    let connect = PgConnection::connect_with(&options);
    let mut connection = match tokio::time::timeout(ACQUIRE_TIMEOUT, connect).await {
        Ok(connected) => connected?,
        Err(_) => return Err(sqlx::Error::PoolTimedOut),
    };
    let mut known = Migrator::with_migrations(migrator.iter().cloned().collect());
    known
        .set_ignore_missing(true)
        // Not `run`, which accepts anything that provides a connection: the compiler cannot prove its future to be
        // `Send`, so that no service could be spawned.
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::Execute(error) => error,
            error => sqlx::Error::Migrate(Box::new(error)),
        })?;
    connection.close().await
}
