//! The databases of the services, on the private server or on a given one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded::Error;
use embedded::postgres::{DatabaseLink, closed_databases, create_database};
use url::{Url, form_urlencoded};

use crate::failure::Failure;

/// How long a given server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The prefix of our databases' names on a shared server.
const PREFIX: &str = "agora_";

/// The URL of each database. They hold the server's password.
#[derive(Clone)]
pub(crate) struct Databases {
    pub(crate) users: String,
    pub(crate) orders: String,
    pub(crate) products: String,
    pub(crate) notifications: String,
    pub(crate) queue: String,
    /// The directory of the private server's Unix socket.
    socket: Option<PathBuf>,
}

impl Databases {
    /// Invalid URLs, to check a configuration with.
    pub(crate) fn placeholder() -> Self {
        Self::named(|name| format!("postgres://127.0.0.1:1/{name}"))
    }

    /// Creates what is missing on the private server.
    pub(crate) async fn on_private(
        url: impl Fn(&str) -> String,
        socket: Option<&Path>,
    ) -> Result<Self, Failure> {
        let server = url("postgres");
        let create = async |name: &str| {
            create_database(&server, name).await.map_err(|error| {
                Failure::new(format!("the database {name} cannot be created: {error}"))
            })
        };
        // Concurrently, since most of the time is spent on disk writes.
        tokio::try_join!(
            create("users"),
            create("orders"),
            create("products"),
            create("notifications"),
            create("queue"),
            mend(&server)
        )?;
        Ok(Self {
            socket: socket.map(Path::to_owned),
            ..Self::named(url)
        })
    }

    /// Creates what is missing on a given server.
    pub(crate) async fn on_given(server: &str) -> Result<Self, Failure> {
        let base = Url::parse(server).map_err(|error| {
            Failure::configuration(format!("--database-url or DATABASE_URL: {error}"))
        })?;
        let place = format!(
            "{}:{}",
            base.host_str().unwrap_or("localhost"),
            base.port().unwrap_or(5432)
        );
        for name in ["users", "orders", "products", "notifications", "queue"] {
            let name = format!("{PREFIX}{name}");
            let created =
                tokio::time::timeout(ANSWER_TIMEOUT, create_database(server, &name)).await;
            let reason = match created {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => reason(&error, &name),
                Err(_) => format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()),
            };
            return Err(Failure::new(format!(
                "the PostgreSQL server at {place} cannot be used: {reason} (--database-url or DATABASE_URL)"
            )));
        }
        Ok(Self::on_server_of(&base))
    }

    /// Ours on the server of this URL, whichever of its databases the URL names.
    fn on_server_of(base: &Url) -> Self {
        let mut base = base.clone();
        forget_database(&mut base);
        Self::named(|name| {
            let mut url = base.clone();
            url.set_path(&format!("{PREFIX}{name}"));
            url.to_string()
        })
    }

    fn named(url: impl Fn(&str) -> String) -> Self {
        Self {
            users: url("users"),
            orders: url("orders"),
            products: url("products"),
            notifications: url("notifications"),
            queue: url("queue"),
            socket: None,
        }
    }

    /// One of the URLs as a service of this process uses it: by the server's socket if it has one, which costs both less than TCP.
    pub(crate) fn inside(&self, url: &str) -> String {
        match &self.socket {
            Some(socket) => format!("{url}?host={}", socket.display()),
            None => url.to_owned(),
        }
    }

    /// The link to each database, by its purpose.
    pub(crate) fn links(&self) -> Result<Vec<(&'static str, DatabaseLink)>, Failure> {
        let server = self.on_server("postgres");
        let all = [
            ("users", &self.users),
            ("orders", &self.orders),
            ("products", &self.products),
            ("notifications", &self.notifications),
            ("queue", &self.queue),
        ];
        let link = |(what, url): (&'static str, &String)| {
            // A parameter behind the name may have slashes, too.
            let name = Url::parse(url).map(|url| url.path().trim_matches('/').to_owned());
            let link = DatabaseLink::new(&server, &name.unwrap_or_default());
            let link = link.map_err(|error| Failure::new(format!("the database {what}: {error}")));
            Ok((what, link?))
        };
        all.into_iter().map(link).collect()
    }

    /// The server's URL without a database.
    pub(crate) fn server(&self) -> String {
        self.on_server("")
    }

    /// The URL of any database of the server. Parameters stay: without `sslmode=require` many servers cannot be used.
    fn on_server(&self, database: &str) -> String {
        Url::parse(&self.users).map_or_else(
            |_| String::new(),
            |mut url| {
                url.set_path(database);
                url.to_string()
            },
        )
    }
}

/// Takes the parameter `dbname` away, which wins over the path: with it, one database would be that of all services. The others
/// stay as they are written.
fn forget_database(url: &mut Url) {
    let Some(query) = url.query() else { return };
    let names_database = |parameter: &&str| {
        let mut pairs = form_urlencoded::parse(parameter.as_bytes());
        pairs.any(|(name, _)| name == "dbname")
    };
    let others: Vec<&str> = query
        .split('&')
        .filter(|parameter| !names_database(parameter))
        .collect();
    let others = others.join("&");
    url.set_query((!others.is_empty()).then_some(others.as_str()));
}

/// Opens databases that a killed run had closed.
async fn mend(server: &str) -> Result<(), Failure> {
    let failed = |error: Error| {
        Failure::new(format!(
            "a database that was closed cannot be opened: {error}"
        ))
    };
    for name in closed_databases(server).await.map_err(failed)? {
        let link = DatabaseLink::new(server, &name).map_err(failed)?;
        link.mend().await.map_err(failed)?;
        tracing::info!(
            database = name,
            "opened a database that a killed run had closed"
        );
    }
    Ok(())
}

/// The error of the server or of the connection, without the password.
fn reason(error: &Error, name: &str) -> String {
    match error {
        Error::Database(sqlx::Error::Database(said)) => format!("{said} (on creating {name})"),
        Error::Database(sqlx::Error::Io(said)) => said.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_url_has_no_database() {
        let databases =
            Databases::named(|name| format!("postgres://agora:pw@127.0.0.1:5555/{name}"));
        assert_eq!(databases.server(), "postgres://agora:pw@127.0.0.1:5555");
        assert_eq!(databases.queue, "postgres://agora:pw@127.0.0.1:5555/queue");
    }

    #[test]
    fn the_parameters_of_a_given_server_stay() {
        let parameters = "sslmode=require&sslrootcert=/etc/ca.pem";
        let given = Databases::named(|name| {
            format!("postgres://me:pw@db.example/agora_{name}?{parameters}")
        });
        let server = format!("postgres://me:pw@db.example?{parameters}");
        assert_eq!(given.server(), server);
        let links = given.links().expect("a link to each");
        assert_eq!(links.len(), 5);
        for (what, link) in links {
            let told = format!("{link:?}");
            assert!(told.contains(&format!("name: \"agora_{what}\"")), "{told}");
        }
    }

    #[test]
    fn each_service_has_a_database_of_its_own_whatever_a_given_url_names() {
        for (given, rest) in [
            ("dbname=mine", ""),
            ("sslmode=require&dbname=mine", "?sslmode=require"),
            (
                "dbn%61me=mine&sslrootcert=/etc/ca.pem&dbname=x",
                "?sslrootcert=/etc/ca.pem",
            ),
        ] {
            let url = format!("postgres://me:pw@db.example/postgres?{given}");
            let databases = Databases::on_server_of(&url.parse().expect("a URL"));
            let server = "postgres://me:pw@db.example";
            assert_eq!(databases.orders, format!("{server}/agora_orders{rest}"));
            assert_eq!(databases.server(), format!("{server}{rest}"));
        }
    }

    #[test]
    fn services_use_the_socket_of_a_private_server() {
        let given = Databases::named(|name| format!("postgres://agora:pw@127.0.0.1:5555/{name}"));
        assert_eq!(given.inside(&given.orders), given.orders);
        let private = Databases {
            socket: Some("/data/socket".into()),
            ..given
        };
        assert_eq!(
            private.inside(&private.orders),
            "postgres://agora:pw@127.0.0.1:5555/orders?host=/data/socket"
        );
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named_without_its_password() {
        // Nobody else can have the port, and nobody listens on it.
        let held = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = "127.0.0.1:0".parse().expect("an address");
        held.bind(any).expect("a port");
        let port = held.local_addr().expect("an address").port();
        let url = format!("postgres://shop:s3cr3t@127.0.0.1:{port}/postgres");
        let failure = Databases::on_given(&url)
            .await
            .err()
            .expect("nobody there")
            .to_string();
        assert!(failure.contains(&format!("127.0.0.1:{port}")), "{failure}");
        assert!(
            failure.contains("refused") && failure.contains("DATABASE_URL"),
            "{failure}"
        );
        assert!(
            !failure.contains("s3cr3t") && failure.lines().count() == 1,
            "{failure}"
        );
    }
}
