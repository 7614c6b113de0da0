//! For a statement that the calls of several requests share, such as those of `messaging::Together`.

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::time::timeout;

use super::ACQUIRE_TIMEOUT;

/// A call waits for the statement that is under way, and then for its own: each may wait for a connection for this part (a half)
/// of the time that one call alone may.
const WAITS: u32 = 2;

/// A connection for a shared statement. It waits for half of [`ACQUIRE_TIMEOUT`], so that a call that comes while another
/// statement waits hears a refusal as early as one that waits alone.
///
/// # Errors
/// The pool's.
pub async fn acquire_for_all(pool: &PgPool) -> sqlx::Result<PoolConnection<Postgres>> {
    let acquired = timeout(ACQUIRE_TIMEOUT / WAITS, pool.acquire()).await;
    acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The error of a shared statement that met an outage, for one of those who shared it. It is an outage for each of them, too
/// ([`is_unavailable`](super::is_unavailable)), whatever it was: not for an error that may be the fault of one of them.
#[must_use]
pub fn outage_of_all(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::is_unavailable;

    #[test]
    fn an_outage_is_one_for_each_and_says_the_same() {
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
        ] {
            let each = outage_of_all(&error);
            assert!(is_unavailable(&each), "{each:?}");
            assert!(each.to_string().contains(&error.to_string()), "{each}");
        }
    }
}
