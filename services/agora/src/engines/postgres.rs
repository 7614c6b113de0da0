//! The private PostgreSQL, and its start.

use std::path::PathBuf;

use embedded::postgres::{Binaries, Cluster, Options};

use crate::binaries::{explain, find};
use crate::cli::Up;
use crate::failure::Failure;

/// Starts the cluster in `directory`, with installed or fetched binaries.
pub(crate) async fn start(up: &Up, directory: PathBuf) -> Result<(Cluster, Binaries), Failure> {
    let made_by = Cluster::major(&directory).map_err(|error| explain(&error))?;
    let binaries = find(&up.engines.binaries, made_by).await?;
    tracing::info!(directory = %binaries.directory.display(), "PostgreSQL's binaries");
    let (used, options) = (binaries.clone(), Options::default());
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&used, &directory, &options));
    let cluster = cluster
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok((cluster.map_err(|error| explain(&error))?, binaries))
}
