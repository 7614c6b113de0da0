//! Engines for tests: one private PostgreSQL cluster for each test process, as many databases as wanted; a link to them
//! that can be cut; and processes that use them and can be killed.
//!
//! ```no_run
//! let database = embedded::testing::fresh_database();
//! let kafka = embedded::testing::kafka(&[("order-events", 4)]);
//! # drop((database, kafka));
//! ```

mod child;
mod link;
mod process;

use std::sync::{LazyLock, OnceLock};

use uuid::Uuid;

use crate::kafka::MockKafka;
use crate::postgres::{Binaries, Cluster, OnExit, Options};

pub use child::{Child, task};
pub use link::Link;
pub use process::Process;

/// What sqlx would add to a test's own connections, whatever the URL says. A program begins again without them
/// (`chassis::config::parse`), a test cannot.
const MISLEADING: [&str; 5] = [
    "PGOPTIONS",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLMODE",
    "PGSSLROOTCERT",
];
/// Tests run side by side, each with its pools.
const CONNECTIONS_MAX: u16 = 300;

/// An empty database that nobody else uses. It goes away with the test process.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Where it is, with the password.
    pub url: String,
}

/// A new, empty database.
///
/// The first call starts a private cluster (half a second). That cluster ends with the test process,
/// however the process ends, and its directory goes with it. Nothing in it survives a crash of the
/// machine, which is what makes it fast. Needs no runtime, and may be called from inside of one.
///
/// # Panics
/// When the machine has no PostgreSQL 15 or later, or it does not start; when the environment has variables that would
/// change the tests' connections.
#[must_use]
pub fn fresh_database() -> TestDatabase {
    let cluster = cluster();
    let name = format!("test_{}", Uuid::new_v4().simple());
    let (server, database) = (cluster.url("postgres"), name.clone());
    // A thread of its own: the caller's may already be driving a runtime.
    let created = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(crate::postgres::create_database(&server, &database))
    });
    created
        .join()
        .expect("no panic")
        .unwrap_or_else(|error| panic!("a test database: {error}"));
    TestDatabase {
        url: cluster.url(&name),
    }
}

/// A mock Kafka cluster with these topics and their numbers of partitions.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn kafka(topics: &[(&str, i32)]) -> MockKafka {
    MockKafka::start(topics).unwrap_or_else(|error| panic!("{error}"))
}

/// The newest PostgreSQL of this machine.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binaries() -> &'static Binaries {
    static NEWEST: LazyLock<Binaries> = LazyLock::new(|| {
        let newest = Binaries::find_installed().into_iter().next();
        newest.expect("tests need PostgreSQL 15 or later: install the package `postgresql`")
    });
    &NEWEST
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        for name in MISLEADING {
            assert!(
                std::env::var_os(name).is_none(),
                "tests cannot run with {name}: unset it"
            );
        }
        let options = Options {
            durable: false,
            connections_max: CONNECTIONS_MAX,
            on_exit: OnExit::Remove,
            ..Options::default()
        };
        let name = format!("embedded-test-{}", Uuid::new_v4().simple());
        Cluster::start(binaries(), &std::env::temp_dir().join(name), &options)
            .unwrap_or_else(|error| panic!("a test cluster: {error}"))
    })
}
