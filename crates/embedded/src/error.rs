//! What can go wrong with an engine. Each message is for the person who started it.

use std::io;
use std::path::{Path, PathBuf};

/// Why an engine could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be handled.
    #[error("{what} {}: {source}", .path.display())]
    Io {
        /// What was tried, such as "create".
        what: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The process runs as root, and the system has nobody else to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and this system has neither a user `postgres` nor `nobody`"
    )]
    NoAccount,
    /// The process runs as root, and the user that PostgreSQL runs as cannot get to a directory.
    #[error(
        "PostgreSQL refuses to run as root and runs as `{user}`, who may not enter {}: {} cannot be used",
        .barrier.display(),
        .directory.display()
    )]
    Unreachable {
        /// The user that PostgreSQL runs as.
        user: String,
        /// The directory that is closed to that user.
        barrier: PathBuf,
        /// The directory that was asked for.
        directory: PathBuf,
    },
    /// The cluster was made by another major version than the binaries' one.
    #[error("{} was made by PostgreSQL {cluster} and cannot be opened by PostgreSQL {binaries}", .directory.display())]
    Major {
        /// The cluster's directory.
        directory: PathBuf,
        /// The major version that made the cluster.
        cluster: u32,
        /// The major version of the binaries at hand.
        binaries: u32,
    },
    /// A directory is there but holds no cluster.
    #[error("{} is neither empty nor a PostgreSQL cluster", .0.display())]
    NotACluster(PathBuf),
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server ended while it was starting, or did not get ready in time.
    #[error("PostgreSQL {what}; the end of {}:\n{tail}", .log.display())]
    Start {
        /// What happened instead of a start.
        what: String,
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server of an earlier run cannot be stopped.
    #[error("a PostgreSQL of an earlier run (process {pid}) still holds {} and does not stop", .directory.display())]
    Stale {
        /// The process that holds the directory.
        pid: i32,
        /// The cluster's data directory.
        directory: PathBuf,
    },
    /// The server answered a statement with an error, or not at all.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// The mock cluster could not be made.
    #[error("mock Kafka: {0}")]
    Kafka(String),
    /// The binaries could not be fetched.
    #[cfg(feature = "fetch")]
    #[error("PostgreSQL {major} could not be fetched: {reason}")]
    Fetch {
        /// The major version that was asked for.
        major: u32,
        /// What went wrong.
        reason: String,
    },
}

/// Adds what was tried, and on which file, to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            what,
            path: path.to_owned(),
            source,
        })
    }
}
