//! A private PostgreSQL cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use embedded::postgres::{Binaries, Cluster, Options};
//!
//! let newest = Binaries::find_installed().into_iter().next().ok_or("PostgreSQL is not installed")?;
//! let mut cluster = Cluster::start(&newest, "/var/lib/example/postgres".as_ref(), &Options::default())?;
//! cluster.create_database("orders").await?;
//! println!("{}", cluster.url("orders"));
//! cluster.stop(std::time::Duration::from_secs(3));
//! # Ok(())
//! # }
//! ```

mod account;
mod binaries;
mod cluster;
mod database;
#[cfg(feature = "fetch")]
mod fetch;
mod initdb;
mod link;
mod options;
mod password;
mod server;
mod socket;
mod stale;
mod watchdog;

pub use binaries::{Binaries, MAJOR_MIN, installed_directories};
pub use cluster::Cluster;
pub use database::create_database;
#[cfg(feature = "fetch")]
pub use fetch::{FETCHED_MAJOR, cached, fetch};
pub use link::{DatabaseLink, closed_databases};
pub use options::{OnExit, Options};
