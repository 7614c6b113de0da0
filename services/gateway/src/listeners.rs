//! The gateway's ports.

use chassis::{Fatal, listen};
use tokio::net::TcpListener;

use crate::Config;

/// The ports, bound before anything else starts, so that whoever starts the service knows them.
#[derive(Debug)]
pub struct Listeners {
    /// The public API.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds the ports that are configured.
    ///
    /// # Errors
    /// One line that names the port that cannot be bound, and what to change.
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

    /// Says in the log where the service listens.
    pub fn announce(&self) {
        for (port, listener) in [("http", &self.http), ("admin", &self.admin)] {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(port, %address, "listening");
            }
        }
    }
}
