//! The port, bound before anything else happens.

use chassis::Fatal;
use tokio::net::TcpListener;

use crate::Config;

/// The ports that the service answers on: it has no public door.
#[derive(Debug)]
pub struct Listeners {
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds it.
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

    /// Logs where it is.
    ///
    /// # Errors
    /// A socket that does not know its address.
    pub fn announce(&self) -> Result<(), Fatal> {
        tracing::info!(admin = %self.admin.local_addr()?, "listening");
        Ok(())
    }
}
