//! `endpoints.json`: all addresses, for scripts. The file exists only while the marketplace is ready.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::engines::{Databases, Kafka};
use crate::failure::Failure;
use crate::files::private_file;
use crate::services::{Addresses, http};

/// The file; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Endpoints(PathBuf);

impl Endpoints {
    /// Removes the file of a killed run, whose addresses are invalid.
    pub(crate) fn clear(path: &Path) -> Result<(), Failure> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(path, &error)),
            _ => Ok(()),
        }
    }

    /// Writes the file, with mode 0600 since it contains the database's password.
    pub(crate) fn publish(
        path: PathBuf,
        at: &Addresses,
        databases: &Databases,
        kafka: &Kafka,
        mail: Option<&Path>,
    ) -> Result<Self, Failure> {
        let content = json!({
            "pid": std::process::id(),
            "gateway": http(at.gateway),
            "users": http(at.users),
            "orders": http(at.orders),
            "products": http(at.products),
            "products_grpc": http(at.products_grpc),
            "observatory": http(at.observatory),
            "switches": http(at.switches),
            "kafka": kafka.brokers(),
            "kafka_in_memory": kafka.forgets(),
            "database": databases.server(),
            "databases": {
                "users": databases.users,
                "orders": databases.orders,
                "products": databases.products,
                "notifications": databases.notifications,
                "queue": databases.queue,
            },
            "admin": {
                "gateway": http(at.gateway_admin),
                "users": http(at.users_admin),
                "orders": http(at.orders_admin),
                "products": http(at.products_admin),
                "notifications": http(at.notifications_admin),
                "observatory": http(at.observatory_admin),
            },
            "mail": mail,
        });
        private_file::write_json(&path, &content).map_err(|error| cannot(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, file = %self.0.display(), "endpoints.json cannot be removed");
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()))
}
