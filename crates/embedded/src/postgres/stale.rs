//! The server that a killed run left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::error::Context;

/// How long a server gets to end cleanly. Its checkpoint may have many pages to write.
const FAST: Duration = Duration::from_secs(5);
/// How long it gets after that to end at once, which leaves the rest to the next start's recovery.
const IMMEDIATE: Duration = Duration::from_secs(5);
/// How often is looked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// Stops whatever server still runs on the data directory, and waits until it has gone.
///
/// The caller holds the directory's lock, so such a server can only be a leftover.
pub(crate) fn stop(data: &Path) -> Result<(), Error> {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(());
    };
    let postmaster = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    if let Some(pid) = postmaster.filter(|pid| is_server_of(*pid, data)) {
        tracing::info!(pid, "stopping the PostgreSQL of an earlier run");
        end(pid, data)?;
    }
    // A postmaster that was killed leaves its backends, which end by themselves only when idle.
    for pid in backends(data) {
        signal(pid, Signal::QUIT);
        if !wait(IMMEDIATE, || {
            !is_server_of(pid, data) && !works_in(pid, data)
        }) {
            return Err(Error::Stale {
                pid,
                directory: data.to_owned(),
            });
        }
    }
    // Its number may belong to another process by now, which would keep the new server from starting.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("remove", &file)
        }
        _ => Ok(()),
    }
}

fn end(pid: i32, data: &Path) -> Result<(), Error> {
    for (how, patience) in [(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE)] {
        signal(pid, how);
        if wait(patience, || !is_server_of(pid, data)) {
            return Ok(());
        }
    }
    Err(Error::Stale {
        pid,
        directory: data.to_owned(),
    })
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that it has just ended.
        let _ = kill_process(pid, signal);
    }
}

fn wait(patience: Duration, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !done() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Whether a process is a postmaster that was started with this data directory.
fn is_server_of(pid: i32, data: &Path) -> bool {
    let Some(line) = command_line(pid) else {
        return false;
    };
    // Written by `Server::start`, which always has a setting behind the directory.
    line.contains("postgres") && line.contains(&format!(" -D {} ", data.display()))
}

/// The arguments of a process; none for one that has ended and was not waited for.
fn command_line(pid: i32) -> Option<String> {
    if Path::new("/proc/self").exists() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let answer = Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The processes whose working directory is the data directory: all of a server's are, while they live.
/// Systems without `/proc` answer none; there a start may have to be repeated.
fn backends(data: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| works_in(*pid, data)).collect()
}

fn works_in(pid: i32, data: &Path) -> bool {
    let is_postgres =
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres");
    is_postgres && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data)
}
