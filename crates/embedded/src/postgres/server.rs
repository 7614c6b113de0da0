//! The server process: its settings, its start, its end.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::{self, Account};
use super::binaries::Binaries;
use super::initdb::Layout;
use super::options::Options;
use super::socket;
use crate::Error;
use crate::error::Context;

/// How whole pages are compressed in the log, the best first. `lz4` takes a small part of the other's CPU, and is left out of
/// some builds of PostgreSQL.
pub(crate) const COMPRESSIONS: [&str; 2] = ["lz4", "pglz"];
/// The setting, whose name is in the message of a server that lacks a compression.
const COMPRESSION: &str = "wal_compression";
/// The message of a server that has found no place for its socket.
const NO_SOCKET: &str = "could not create any Unix-domain sockets";
/// How often is looked whether the server is ready, or has ended.
const POLL: Duration = Duration::from_millis(5);
/// How much of the server's log is shown when it does not start, in bytes and in lines.
const TAIL_BYTES: u64 = 16 * 1024;
const TAIL_LINES: usize = 12;
/// The server's log is emptied at a start when it is larger than this, in bytes.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How a server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Connections are cut, everything is written: the next start has nothing to recover.
    Fast,
    /// At once; the next start recovers from the log.
    Immediate,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// The directory of its Unix socket, if it has one.
    pub(crate) socket: Option<PathBuf>,
}

/// Why a start failed: whether another try may help.
pub(crate) enum Failed {
    PortTaken,
    /// By this build of PostgreSQL.
    CompressionUnknown(Error),
    /// By the file system, as those are that a container shares with another operating system.
    SocketRefused(Error),
    For(Error),
}

impl Failed {
    /// `what` happened, and what the server has logged since `log_start`.
    fn why(what: String, layout: &Layout, log_start: u64) -> Self {
        let tail = tail(&layout.log(), log_start);
        if tail.contains("Address already in use") {
            return Self::PortTaken;
        }
        let is_compression = tail.contains(&format!("parameter \"{COMPRESSION}\""));
        let is_socket = tail.contains(NO_SOCKET);
        let log = layout.log();
        let error = Error::Start { what, log, tail };
        match (is_compression, is_socket) {
            (true, _) => Self::CompressionUnknown(error),
            (_, true) => Self::SocketRefused(error),
            _ => Self::For(error),
        }
    }
}

impl Server {
    /// Starts the process and waits until it accepts connections. `compression` is one of [`COMPRESSIONS`]; without `has_socket`
    /// connections are over TCP only.
    pub(crate) fn start(
        binaries: &Binaries,
        layout: &Layout,
        account: Option<&Account>,
        options: &Options,
        compression: &str,
        has_socket: bool,
        spawned: impl FnOnce(u32),
    ) -> Result<Self, Failed> {
        let port = free_port().map_err(Failed::For)?;
        let socket = has_socket.then(|| socket::prepare(layout, account));
        let socket = socket.transpose().map_err(Failed::For)?.flatten();
        let (log, log_start) = open_log(&layout.log()).map_err(Failed::For)?;
        let errors = log
            .try_clone()
            .context("open", &layout.log())
            .map_err(Failed::For)?;
        let program = binaries.program("postgres");
        let child = account::command(&program, &layout.data(), account)
            .arg("-D")
            .arg(layout.data())
            .args(
                settings(port, socket.as_deref(), options, compression)
                    .into_iter()
                    .flat_map(|s| ["-c".to_owned(), s]),
            )
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A terminal's Ctrl-C goes to the whole group: the server must outlive its clients.
            .process_group(0)
            .spawn()
            .context("run", &program)
            .map_err(Failed::For)?;
        spawned(child.id());
        let mut server = Self {
            child,
            port,
            socket,
        };
        match server.wait_ready(layout, options.start_timeout) {
            Ok(()) => Ok(server),
            Err(what) => {
                server.stop(Stop::Immediate, Duration::from_secs(1));
                Err(Failed::why(what, layout, log_start))
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Tells the server to stop and waits; says whether it has ended.
    pub(crate) fn stop(&mut self, how: Stop, within: Duration) -> bool {
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        if self.ended().is_some() {
            return true;
        }
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        let end = Instant::now() + within;
        while self.ended().is_none() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// The server writes its state into its pid file, which is cheaper to ask than the server.
    fn wait_ready(&mut self, layout: &Layout, timeout: Duration) -> Result<(), String> {
        let file = layout.data().join("postmaster.pid");
        let end = Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended() {
                return Err(format!("did not start ({status})"));
            }
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            let ours = lines.next() == Some(self.pid().to_string().as_str());
            // The pid is line 1, the state line 8.
            if ours && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(format!("was not ready after {} s", timeout.as_secs()));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// On the command line and not in `postgresql.conf`: they apply to clusters of earlier versions too.
fn settings(port: u16, socket: Option<&Path>, options: &Options, compression: &str) -> Vec<String> {
    let switch = |on: bool| if on { "on" } else { "off" };
    vec![
        // This machine only.
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!(
            "unix_socket_directories={}",
            socket.unwrap_or(Path::new("")).display()
        ),
        format!("max_connections={}", options.connections_max),
        format!("fsync={}", switch(options.durable)),
        format!("synchronous_commit={}", switch(options.durable)),
        format!("full_page_writes={}", switch(options.durable)),
        // One person's machine, not a database server.
        "shared_buffers=32MB".to_owned(),
        "jit=off".to_owned(),
        // After a checkpoint the first change of a page logs the whole page, most of it text that is much alike.
        format!("{COMPRESSION}={compression}"),
        // Limits how much a start after a crash has to read. With less there are more checkpoints, and after each the next
        // change of every page logs the whole page.
        "max_wal_size=1GB".to_owned(),
        // Nobody replicates from here: less is logged, and one process less runs.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "max_logical_replication_workers=0".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_line_prefix=%m [%p] %d ".to_owned(),
    ]
}

/// A port that nobody listens on. Somebody else may take it before the server does; then the start is
/// repeated with another.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .context("listen on", Path::new("127.0.0.1"))
}

/// Opens the log for appending; also says where this start's part of it begins.
fn open_log(path: &Path) -> Result<(fs::File, u64), Error> {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .context("open", path)?;
    let mut length = file.metadata().context("open", path)?.len();
    if length > LOG_BYTES_MAX {
        file.set_len(0).context("empty", path)?;
        length = 0;
    }
    Ok((file, length))
}

/// The last lines of what was logged since `start`.
fn tail(path: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            start.max(length.saturating_sub(TAIL_BYTES)),
        ))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"));
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(logged: &str) -> Failed {
        let top = tempfile::tempdir().expect("a directory");
        let layout = Layout {
            top: top.path().to_owned(),
        };
        fs::write(layout.log(), logged).expect("a log");
        Failed::why("did not start".to_owned(), &layout, 0)
    }

    #[test]
    fn only_what_another_start_may_mend_is_told_apart() {
        let taken = "LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use";
        assert!(matches!(why(taken), Failed::PortTaken));
        let unknown = "FATAL:  invalid value for parameter \"wal_compression\": \"lz4\"\n\
                       HINT:  Available values: pglz, on, off.";
        assert!(matches!(why(unknown), Failed::CompressionUnknown(_)));
        let refused = "LOG:  could not bind Unix address \"/d/.s.PGSQL.5\": Operation not supported\n\
                       WARNING:  could not create Unix-domain socket in directory \"/d\"\n\
                       FATAL:  could not create any Unix-domain sockets";
        assert!(matches!(why(refused), Failed::SocketRefused(_)));
        let other = "FATAL:  unrecognized configuration parameter \"no_such_setting\"";
        assert!(matches!(why(other), Failed::For(_)));
    }
}
