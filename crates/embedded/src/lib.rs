//! Real engines without installing any.
//!
//! ```no_run
//! use embedded::postgres::{Binaries, Cluster, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // A private cluster in a directory of your choice, from the newest PostgreSQL of this machine.
//! let newest = Binaries::find_installed().into_iter().next().ok_or("there is none")?;
//! let cluster = Cluster::start(&newest, "/var/lib/demo/postgres".as_ref(), &Options::default())?;
//! cluster.create_database("invoices").await?;
//! println!("{}", cluster.url("invoices"));
//!
//! // A Kafka in this process, with the numbers of partitions of its topics.
//! let kafka = embedded::kafka::MockKafka::start(&[("invoice-events", 12)])?;
//! println!("{}", kafka.bootstrap_servers());
//! # Ok(()) }
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`postgres`] | a private PostgreSQL cluster, from the binaries on the machine or (feature `fetch`) from fetched ones |
//! | [`kafka`] | librdkafka's mock cluster: the real protocol, in this process, in memory |
//! | [`Refusal`] | a port at which nobody is, and which counts who came |
//! | [`testing`] | both of them for tests, in one line; a link to them that can be cut |
//!
//! Everything in here is synchronous and needs no runtime, except where it says `async`.

mod error;
pub mod kafka;
pub mod postgres;
mod refusal;
pub mod testing;

pub use error::Error;
pub use refusal::Refusal;
