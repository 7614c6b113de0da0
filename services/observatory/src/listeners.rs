//! The ports, bound before anything else happens.

use chassis::{Fatal, listen};
use tokio::net::TcpListener;

use crate::Config;

/// The ports that the service answers on.
#[derive(Debug)]
pub struct Listeners {
    /// Traces, state and switches, as JSON.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both of them.
    ///
    /// # Errors
    /// One line that names the port that is in use, and its flag.
    pub async fn bind(config: &Config) -> Result<Self, Fatal> {
        let host = &config.service.bind_host;
        Ok(Self {
            http: listen::bind(host, config.http_port, "--http-port", "HTTP_PORT").await?,
            admin: config
                .service
                .bind_admin(config.admin_port, "--admin-port", "ADMIN_PORT")
                .await?,
        })
    }

    /// Logs where each of them is.
    ///
    /// # Errors
    /// A socket that does not know its address.
    pub fn announce(&self) -> Result<(), Fatal> {
        tracing::info!(http = %self.http.local_addr()?, admin = %self.admin.local_addr()?, "listening");
        Ok(())
    }
}
