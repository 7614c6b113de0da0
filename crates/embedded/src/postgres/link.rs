//! The way to one database, which can be cut.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::Error;

/// How often sessions are ended that began while the database was being closed, and the pause between.
const ENDS_MAX: u32 = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// The way of all clients to one database. While it is cut, the server refuses them (SQLSTATE 55000), as it does when an
/// operator takes a database out of service.
///
/// The server does it by itself: with a proxy in between each statement would pay for it all the time.
#[derive(Debug, Clone)]
pub struct DatabaseLink {
    server: PgConnectOptions,
    name: String,
}

/// The databases of a server that take no sessions, templates aside: those whose link was cut and not mended.
///
/// # Errors
/// [`Error::Database`] when the server cannot be reached or refuses.
pub async fn closed_databases(server_url: &str) -> Result<Vec<String>, Error> {
    let options: PgConnectOptions = server_url.parse()?;
    let mut server = options.disable_statement_logging().connect().await?;
    let closed = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE NOT datallowconn AND NOT datistemplate",
    )
    .fetch_all(&mut server)
    .await?;
    server.close().await?;
    Ok(closed)
}

impl DatabaseLink {
    /// The link to the database `name` on the server that `server_url` leads to, by another database of it.
    ///
    /// # Errors
    /// [`Error::Database`] when the URL cannot be read.
    pub fn new(server_url: &str, name: &str) -> Result<Self, Error> {
        let options: PgConnectOptions = server_url.parse()?;
        Ok(Self {
            server: options.disable_statement_logging(),
            name: name.to_owned(),
        })
    }

    /// Ends every session, and refuses new ones. It stays so when the server is started again. Where sessions cannot be ended,
    /// new ones are taken as before.
    ///
    /// # Errors
    /// [`Error::Database`] when the server cannot be reached or refuses.
    pub async fn cut(&self) -> Result<(), Error> {
        let mut server = self.server.connect().await?;
        self.allow(&mut server, false).await?;
        if let Err(error) = self.end_sessions(&mut server).await {
            // Whoever is told that it was not cut does not mend it.
            self.mend().await?;
            return Err(error);
        }
        server.close().await?;
        Ok(())
    }

    async fn end_sessions(&self, server: &mut PgConnection) -> Result<(), Error> {
        for _ in 0..ENDS_MAX {
            let ended: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = $1 AND backend_type = 'client backend'",
            )
            .bind(&self.name)
            .fetch_one(&mut *server)
            .await?;
            if ended == 0 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Takes new sessions again; nothing where it is whole.
    ///
    /// # Errors
    /// [`Error::Database`] when the server cannot be reached or refuses.
    pub async fn mend(&self) -> Result<(), Error> {
        let mut server = self.server.connect().await?;
        self.allow(&mut server, true).await?;
        server.close().await?;
        Ok(())
    }

    /// Sessions that were ended by hand, or refused, since the server's statistics began.
    ///
    /// # Errors
    /// [`Error::Database`] when the server cannot be reached or refuses.
    pub async fn refused(&self) -> Result<u64, Error> {
        let mut server = self.server.connect().await?;
        let count: i64 = sqlx::query_scalar(
            "SELECT sessions_killed + sessions_fatal FROM pg_stat_database WHERE datname = $1",
        )
        .bind(&self.name)
        .fetch_one(&mut server)
        .await?;
        server.close().await?;
        Ok(count.unsigned_abs())
    }

    async fn allow(&self, server: &mut PgConnection, allowed: bool) -> Result<(), Error> {
        let is_so: bool =
            sqlx::query_scalar("SELECT datallowconn FROM pg_database WHERE datname = $1")
                .bind(&self.name)
                .fetch_one(&mut *server)
                .await?;
        if is_so != allowed {
            // Names cannot be parameters of a statement.
            let name = self.name.replace('"', "\"\"");
            let statement = format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS {allowed}");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(server)
                .await?;
        }
        Ok(())
    }
}
