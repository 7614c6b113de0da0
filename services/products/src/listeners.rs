//! The ports, bound before any other step of the start.

use chassis::{Fatal, listen};
use tokio::net::TcpListener;

use crate::Config;

/// The ports that the service answers on.
#[derive(Debug)]
pub struct Listeners {
    /// REST.
    pub http: TcpListener,
    /// gRPC.
    pub grpc: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds all ports.
    ///
    /// # Errors
    /// One line that names the port that is in use, and its flag.
    pub async fn bind(config: &Config) -> Result<Self, Fatal> {
        let host = &config.service.bind_host;
        Ok(Self {
            http: listen::bind(host, config.http_port, "--http-port", "HTTP_PORT").await?,
            grpc: listen::bind(host, config.grpc_port, "--grpc-port", "GRPC_PORT").await?,
            admin: config
                .service
                .bind_admin(config.admin_port, "--admin-port", "ADMIN_PORT")
                .await?,
        })
    }

    /// Logs the address of each port.
    ///
    /// # Errors
    /// If a socket has no local address.
    pub fn announce(&self) -> Result<(), Fatal> {
        tracing::info!(
            http = %self.http.local_addr()?,
            grpc = %self.grpc.local_addr()?,
            admin = %self.admin.local_addr()?,
            "listening"
        );
        Ok(())
    }
}
