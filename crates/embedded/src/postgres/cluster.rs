//! A cluster: from a directory to a URL.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::account::Account;
use super::binaries::Binaries;
use super::database;
use super::initdb::{self, Layout, SUPERUSER};
use super::options::Options;
use super::server::{COMPRESSIONS, Failed, Server, Stop};
use super::stale;
use super::watchdog::Watchdog;
use crate::Error;
use crate::error::Context;

/// How often a start is repeated because somebody took the port between the look and the start.
const PORT_TRIES_MAX: u32 = 5;
/// How long a server that was dropped without [`Cluster::stop`] gets to stop cleanly.
const DROP_PATIENCE: Duration = Duration::from_secs(3);
/// How long a server gets that was told to stop at once.
const IMMEDIATE_PATIENCE: Duration = Duration::from_secs(2);

/// A running private cluster. It stops when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    password: String,
    watchdog: Option<Watchdog>,
}

impl Cluster {
    /// Starts the cluster in `directory`, which is made if it is not there. A server that a killed run
    /// left in it is stopped first, so the caller makes sure that no live one uses the directory.
    ///
    /// Under root the server runs as the owner of the cluster that is there, and a new one as the user `postgres` or else
    /// `nobody`, who must be able to enter everything above `directory`.
    ///
    /// # Errors
    /// Every variant of [`Error`] about PostgreSQL; [`Error::Start`] carries the end of the server's log.
    pub fn start(binaries: &Binaries, directory: &Path, options: &Options) -> Result<Self, Error> {
        let there = Layout {
            top: directory.to_owned(),
        };
        let account = Account::for_postgres(&there.data())?;
        let account = account.as_ref();
        let layout = prepare(directory, account)?;
        if let Some(account) = account {
            account.must_reach(&binaries.directory)?;
        }
        let mut watchdog = Watchdog::start(options.on_exit, &layout.top)?;
        let started = (|| {
            let mut watch = |pid| {
                if let Some(watchdog) = &mut watchdog {
                    watchdog.watch(pid);
                }
            };
            initdb::ensure(binaries, &layout, account, options.durable, &mut watch)?;
            stale::stop(&layout.data())?;
            let path = layout.password();
            let password = fs::read_to_string(&path).context("read", &path)?;
            let server = serve(binaries, &layout, account, options, &mut watch)?;
            // By this time whatever still wrote into a killed run's attempt has ended.
            layout.remove_unfinished();
            Ok((server, password))
        })();
        match started {
            Ok((server, password)) => Ok(Self {
                server,
                password,
                watchdog,
            }),
            Err(error) => {
                if let Some(watchdog) = watchdog {
                    watchdog.dismiss();
                }
                Err(error)
            }
        }
    }

    /// The major version that made the cluster in a directory; `None` when there is none yet.
    ///
    /// # Errors
    /// [`Error::NotACluster`] when the directory holds something else, [`Error::Io`] when it cannot be read.
    pub fn major(directory: &Path) -> Result<Option<u32>, Error> {
        Layout {
            top: directory.to_owned(),
        }
        .major()
    }

    /// The URL of one database. It holds the password: keep it out of logs.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self {
            server, password, ..
        } = self;
        format!(
            "postgres://{SUPERUSER}:{password}@127.0.0.1:{}/{database}",
            server.port
        )
    }

    /// The directory of the server's Unix socket: as `host` among the parameters of a [`url`](Self::url) it is the way of clients
    /// that run as the user of this process or as root. A round trip costs a third less than over TCP. `None` where a socket
    /// cannot be: the path is too long, or has other characters than letters, digits and `/._-`, or the file system has none.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.server.socket.as_deref()
    }

    /// The number of the server's main process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Creates a database unless it is there.
    ///
    /// # Errors
    /// [`Error::Database`] when the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        database::create_database(&self.url("postgres"), name).await
    }

    /// How the server ended by itself, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.server.ended()
    }

    /// Stops the server: cleanly if that takes no longer than `within`, else at once, which leaves its
    /// next start some recovery but loses nothing.
    pub fn stop(mut self, within: Duration) {
        self.halt(within);
    }

    fn halt(&mut self, within: Duration) {
        let ended = self.server.stop(Stop::Fast, within)
            || self.server.stop(Stop::Immediate, IMMEDIATE_PATIENCE);
        if let Some(watchdog) = self.watchdog.take()
            // One that does not end is left to the watchdog.
            && ended
        {
            watchdog.dismiss();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.halt(DROP_PATIENCE);
    }
}

fn prepare(directory: &Path, account: Option<&Account>) -> Result<Layout, Error> {
    let parent = directory.parent().unwrap_or(directory);
    fs::create_dir_all(parent).context("create", parent)?;
    if let Some(account) = account {
        account.must_reach(parent)?;
    }
    // The server's own command line is how its leftover is recognised, so the path must be one and the same.
    let parent = fs::canonicalize(parent).context("open", parent)?;
    Ok(Layout {
        top: parent.join(directory.file_name().unwrap_or_default()),
    })
}

fn serve(
    binaries: &Binaries,
    layout: &Layout,
    account: Option<&Account>,
    options: &Options,
    watch: &mut dyn FnMut(Option<u32>),
) -> Result<Server, Error> {
    let [mut compression, known_to_all] = COMPRESSIONS;
    let (mut has_socket, mut tries) = (true, 0);
    loop {
        tries += 1;
        let spawned = |pid| watch(Some(pid));
        let started = Server::start(
            binaries,
            layout,
            account,
            options,
            compression,
            has_socket,
            spawned,
        );
        match started {
            Ok(server) => return Ok(server),
            Err(Failed::SocketRefused(_)) if has_socket => has_socket = false,
            Err(Failed::CompressionUnknown(_)) if compression != known_to_all => {
                compression = known_to_all;
            }
            Err(Failed::PortTaken) if tries < PORT_TRIES_MAX => {}
            Err(Failed::PortTaken) => {
                let what = format!("found its port taken {PORT_TRIES_MAX} times");
                return Err(Error::Start {
                    what,
                    log: layout.log(),
                    tail: String::new(),
                });
            }
            Err(
                Failed::CompressionUnknown(error)
                | Failed::SocketRefused(error)
                | Failed::For(error),
            ) => return Err(error),
        }
    }
}
