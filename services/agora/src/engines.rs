//! What the services run on: a database server and an event stream.

mod database;
mod kafka;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use embedded::postgres::Cluster;

use crate::cli::Up;
use crate::failure::Failure;
use crate::files::DataDir;
pub(crate) use database::Databases;
pub(crate) use kafka::Kafka;

/// The engines, running.
pub(crate) struct Engines {
    cluster: Option<Cluster>,
    pub(crate) kafka: Arc<Kafka>,
    pub(crate) databases: Databases,
    /// A description for the screen.
    pub(crate) description: String,
}

impl Engines {
    /// Starts the engines that the configuration does not provide.
    pub(crate) async fn start(up: &Up, data: &DataDir) -> Result<Self, Failure> {
        // They are independent of each other.
        let (kafka, server) = tokio::try_join!(Kafka::start(up), Server::start(up, data))?;
        let stream = if kafka.forgets() {
            "Kafka in memory"
        } else {
            "the given Kafka"
        };
        let Server {
            cluster,
            databases,
            name,
        } = server;
        Ok(Self {
            cluster,
            kafka: Arc::new(kafka),
            databases,
            description: format!("{name}, {stream}"),
        })
    }

    /// Whether the database server is one that was started here.
    pub(crate) fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    /// How the private PostgreSQL ended, if it did so by itself.
    pub(crate) fn failed(&mut self) -> Option<String> {
        let status = self.cluster.as_mut()?.ended()?;
        Some(format!(
            "PostgreSQL ended by itself ({status}): see postgres/server.log in the data directory"
        ))
    }

    /// Stops them; the database gets `patience` to stop cleanly.
    pub(crate) async fn stop(self, patience: Duration) {
        let stopped = tokio::task::spawn_blocking(move || {
            drop(self.kafka);
            if let Some(cluster) = self.cluster {
                cluster.stop(patience);
            }
        });
        // A panic in it was logged, and the process ends anyway.
        let _ = stopped.await;
    }
}

/// The database server, with all databases.
struct Server {
    cluster: Option<Cluster>,
    databases: Databases,
    name: String,
}

impl Server {
    async fn start(up: &Up, data: &DataDir) -> Result<Self, Failure> {
        if let Some(url) = &up.engines.database_url {
            let databases = Databases::on_given(url).await?;
            return Ok(Self {
                cluster: None,
                databases,
                name: "the given PostgreSQL".to_owned(),
            });
        }
        let (cluster, binaries) = postgres::start(up, data.file("postgres")).await?;
        let databases = Databases::on_private(|name| cluster.url(name), cluster.socket()).await?;
        let name = format!("PostgreSQL {}.{}", binaries.major, binaries.minor);
        Ok(Self {
            cluster: Some(cluster),
            databases,
            name,
        })
    }
}
