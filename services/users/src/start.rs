//! What has to be in the database before the first request.

use std::time::Duration;

use backoff::Backoff;
use chassis::{Fatal, Shutdown};

use crate::{
    accounts::Accounts,
    domain::{Email, Password},
    error::Error,
};

/// The admin of the configuration.
pub(crate) type Admin = (Email, Password);

/// Makes the outbox's tables, the first key and the first admin, unless they are there. Waits for a database
/// that goes away in the middle; Ok also when the shutdown begins first.
pub(crate) async fn prepare(
    accounts: &Accounts,
    admin: Option<&Admin>,
    shutdown: &Shutdown,
) -> Result<(), Fatal> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let attempt = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            attempt = once(accounts, admin) => attempt,
        };
        match attempt {
            Ok(()) => return Ok(()),
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the start has to wait");
            }
            Err(error) => return Err(Fatal::from(error)),
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn once(accounts: &Accounts, admin: Option<&Admin>) -> Result<(), Error> {
    outbox::install(&accounts.pool).await?;
    accounts.keyring.maintain().await?;
    if let Some((email, password)) = admin {
        accounts.ensure_admin(email, password.clone()).await?;
    }
    Ok(())
}
