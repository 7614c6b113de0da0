//! Databases inside of a server.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::Error;

/// "duplicate database", and what a simultaneous creation may answer instead: "unique violation".
const EXISTS: [&str; 2] = ["42P04", "23505"];

/// Creates a database on the server that `server_url` leads to, unless it is there.
///
/// # Errors
/// [`Error::Database`] when the server cannot be reached or refuses.
pub async fn create_database(server_url: &str, name: &str) -> Result<(), Error> {
    let options: PgConnectOptions = server_url.parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    let present: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
    if !present {
        // Names cannot be parameters of a statement.
        let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        let created = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await;
        match created {
            Err(sqlx::Error::Database(error)) if exists(error.code().as_deref()) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    connection.close().await?;
    Ok(())
}

fn exists(code: Option<&str>) -> bool {
    code.is_some_and(|code| EXISTS.contains(&code))
}
