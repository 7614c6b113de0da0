//! Where the broker is, and how to get through to it.

use std::fmt;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};

use crate::MessagingError;

/// How long a connection may take, the handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Seconds between signs of life, unless the URL says `?heartbeat=`. Two that are missing end the connection:
/// this is how long a broker or a consumer that vanished is believed to be there.
const HEARTBEAT_SECS: u16 = 10;

/// The broker's address, with the password in it.
pub(super) struct Address {
    uri: AMQPUri,
    service: String,
}

impl Address {
    pub(super) fn parse(url: &str, service: &str) -> Result<Self, MessagingError> {
        // The parser's own words may quote the URL, and with it the password.
        let mut uri: AMQPUri = url.parse().map_err(|_| {
            MessagingError::Config(
                "the broker's URL is not of the form amqp://user:password@host:5672/vhost".into(),
            )
        })?;
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(MessagingError::Config(
                "amqps:// is not supported in this build: use amqp:// over a private network or a mesh".into(),
            ));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self {
            uri,
            service: service.to_owned(),
        })
    }

    /// Connects; `role` tells the connections of a service apart.
    pub(super) async fn connect(&self, role: &str) -> Result<Connection, MessagingError> {
        let name = format!("{} {role}", self.service);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(self.uri.clone(), properties);
        match tokio::time::timeout(CONNECT_TIMEOUT, connection).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(MessagingError::Unavailable(error.to_string())),
            Err(_late) => Err(MessagingError::Unavailable(format!(
                "no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// Says goodbye, and does not wait for a broker that does not answer.
pub(super) async fn close(connection: &Connection) {
    let goodbye = connection.close(200, "goodbye".into());
    // It is gone either way, and the broker finds out by itself.
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
            ("amqps://shop:hunter2@h/agora", "amqps:// is not supported"),
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
    }
}
