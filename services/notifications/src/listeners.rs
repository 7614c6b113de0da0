//! The port, bound before any other step of the start.

use chassis::Fatal;
use tokio::net::TcpListener;

use crate::Config;

/// The ports of the service; there is no public door.
#[derive(Debug)]
pub struct Listeners {
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds the port.
    ///
    /// # Errors
    /// One line that names the port that is in use, and its flag.
    pub async fn bind(config: &Config) -> Result<Self, Fatal> {
        Ok(Self {
            admin: config
                .service
                .bind_admin(config.admin_port, "--admin-port", "ADMIN_PORT")
                .await?,
        })
    }

    /// Logs the address.
    ///
    /// # Errors
    /// If the socket has no local address.
    pub fn announce(&self) -> Result<(), Fatal> {
        tracing::info!(admin = %self.admin.local_addr()?, "listening");
        Ok(())
    }
}
