//! The ports, bound before any other step of the start.

use chassis::{Fatal, listen};
use tokio::net::TcpListener;

use crate::Config;

/// The ports that the service answers on.
#[derive(Debug)]
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both ports.
    ///
    /// # Errors
    /// One line that names the port that is in use, and its flag.
    pub async fn bind(config: &Config) -> Result<Self, Fatal> {
        let host = &config.service.bind_host;
        Ok(Self {
            grpc: listen::bind(host, config.grpc_port, "--grpc-port", "GRPC_PORT").await?,
            admin: config
                .service
                .bind_admin(config.admin_port, "--admin-port", "ADMIN_PORT")
                .await?,
        })
    }

    /// Logs the addresses.
    pub fn announce(&self) {
        for (port, listener) in [("grpc", &self.grpc), ("admin", &self.admin)] {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(port, %address, "listening");
            }
        }
    }
}
