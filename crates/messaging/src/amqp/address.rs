//! The broker's address, and connecting to it.

use std::fmt;
use std::time::Duration;

use async_rs::Runtime;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use url::Url;

use super::tls::{Files, OverTls};
use crate::MessagingError;

/// How long a connection may take, the handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long closing a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Seconds between heartbeats, unless the URL has `?heartbeat=`. The connection ends when two are missing, which is how long it
/// takes to detect a broker or a consumer that has vanished.
const HEARTBEAT_SECS: u16 = 10;

/// The broker's address, including the password.
pub(super) struct Address {
    uri: AMQPUri,
    /// Set for `amqps`.
    tls: Option<Files>,
    service: String,
}

impl Address {
    pub(super) fn parse(url: &str, service: &str) -> Result<Self, MessagingError> {
        // The parser's message may quote the URL, and with it the password.
        let mut uri: AMQPUri = url.parse().map_err(|_| {
            MessagingError::Config(
                "the broker's URL is not of the form amqp://user:password@host:5672/vhost".into(),
            )
        })?;
        let tls = files(url, uri.scheme == AMQPScheme::AMQPS).map_err(MessagingError::Config)?;
        // TLS is below lapin, which sees a connection like any other.
        uri.scheme = AMQPScheme::AMQP;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self {
            uri,
            tls,
            service: service.to_owned(),
        })
    }

    /// Connects; `role` distinguishes the connections of a service.
    pub(super) async fn connect(&self, role: &str) -> Result<Connection, MessagingError> {
        let name = format!("{} {role}", self.service);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connection(properties)).await {
            Ok(connected) => connected.map_err(MessagingError::Unavailable),
            Err(_late) => Err(MessagingError::Unavailable(format!(
                "no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn connection(&self, properties: ConnectionProperties) -> Result<Connection, String> {
        let uri = self.uri.clone();
        let connected = match self.tls.clone() {
            None => Connection::connect_uri(uri, properties).await,
            Some(files) => {
                let read = tokio::task::spawn_blocking(move || files.read()).await;
                let config = read.map_err(|error| error.to_string())??;
                let runtime = Runtime::new(OverTls::to(&uri.authority.host, config)?);
                let none = OwnedTLSConfig::default();
                Connection::connect_uri_with_config(uri, properties, none, runtime).await
            }
        };
        connected.map_err(|error| error.to_string())
    }
}

/// Checks the URL of a broker, and reads the files that it names.
///
/// # Errors
/// One line for a person; it never quotes the password.
#[cfg(feature = "clap")]
pub(crate) fn check(url: &str) -> Result<(), String> {
    let read = Address::parse(url, "").and_then(|address| match &address.tls {
        Some(files) => files.read().map(drop).map_err(MessagingError::Config),
        None => Ok(()),
    });
    read.map_err(|error| match error {
        MessagingError::Config(why) => why,
        other => other.to_string(),
    })
}

/// The files of an `amqps` URL. They are named with no other: whoever names them believes that the connection is secure.
fn files(url: &str, is_tls: bool) -> Result<Option<Files>, String> {
    let Ok(url) = Url::parse(url) else {
        return Ok(None);
    };
    if is_tls {
        return Files::of(&url).map(Some);
    }
    let tls = ["cacertfile", "certfile", "keyfile"];
    match url.query_pairs().any(|(key, _)| tls.contains(&&*key)) {
        true => Err("cacertfile, certfile and keyfile are for amqps://".to_owned()),
        false => Ok(None),
    }
}

/// Closes the connection; does not wait for a broker that does not answer.
pub(super) async fn close(connection: &Connection) {
    let goodbye = connection.close(200, "goodbye".into());
    // The connection ends in any case, and the broker detects it.
    let _gone = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
}

/// Without the user and the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("host", &self.uri.authority.host)
            .field("port", &self.uri.authority.port)
            .field("vhost", &self.uri.vhost)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_and_no_password_is_shown() {
        for (url, says) in [
            ("amqps://shop:hunter2@h/agora", "?cacertfile=FILE"),
            (
                "amqp://shop:hunter2@h/agora?cacertfile=a",
                "are for amqps://",
            ),
            ("http://shop:hunter2@h/agora", "amqp://user:password@"),
            ("amqp://shop:hunter2@h:port/agora", "amqp://user:password@"),
            ("hunter2", "amqp://user:password@"),
        ] {
            let error = Address::parse(url, "s").unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let address = Address::parse("amqp://shop:hunter2@h/agora", "s").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
        assert_eq!(address.uri.query.heartbeat, Some(HEARTBEAT_SECS));
        let address = Address::parse("amqp://h/agora?heartbeat=3", "s").unwrap();
        assert_eq!(address.uri.query.heartbeat, Some(3));
        let address = Address::parse("amqps://h/agora?cacertfile=a", "s").unwrap();
        assert_eq!(address.uri.authority.port, 5671);
        assert!(address.tls.is_some());
    }
}
