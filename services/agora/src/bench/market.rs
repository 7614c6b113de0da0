//! The marketplace that is measured: `agora up` as a separate process with a separate data directory and the default settings.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chassis::config::try_from_args;
use client::Address;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::binaries::{self, BinaryArgs};
use crate::failure::Failure;
use crate::files;

/// How long a start may take: with a new cluster, in a debug build, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a stop may take. It promises 5 s.
const STOP_MAX: Duration = Duration::from_secs(10);
/// The interval at which readiness is checked, which is the error of a start's duration.
const LOOK: Duration = Duration::from_millis(5);
/// The interval at which memory is measured while something is done.
const MEMORY_LOOK: Duration = Duration::from_millis(20);
/// The environment variables that it inherits: locations of programs and directories, and proxies for fetching PostgreSQL.
/// Others would change the measurement.
const KEPT: [&str; 14] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "XDG_CACHE_HOME",
    "AGORA_CACHE_DIR",
    "AGORA_POSTGRES",
    "AGORA_POSTGRES_SEARCH",
];

/// What it reads of the variables that it inherits.
#[derive(clap::Parser)]
struct Inherited {
    #[command(flatten)]
    binaries: BinaryArgs,
}

/// See the module. The process is killed when this is dropped; its watchdog stops PostgreSQL then.
pub(super) struct Market {
    data: PathBuf,
    child: Option<Child>,
    /// The other end of its input. Nothing is written to it: it ends with this process, however that ends, and the marketplace stops.
    input: Option<ChildStdin>,
    running: Value,
}

impl Market {
    /// A marketplace that does not run yet, with this data directory.
    pub(super) fn at(data: PathBuf) -> Self {
        Self {
            data,
            child: None,
            input: None,
            running: Value::Null,
        }
    }

    /// Fetches PostgreSQL where it will have to be fetched, so that no start is as slow as a network.
    pub(super) async fn provide_postgres() -> Result<(), Failure> {
        let inherited: Inherited = try_from_args(["agora"]).map_err(Failure::configuration)?;
        binaries::provide(&inherited.binaries).await
    }

    /// Starts it, and waits until it is ready; returns how long that took.
    pub(super) async fn start(&mut self) -> Result<Duration, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(format!("the marketplace cannot be started: {error}"))
        };
        let program = std::env::current_exe().map_err(cannot)?;
        let said = File::create(self.output()).map_err(cannot)?;
        let begun = Instant::now();
        let mut child = apart(&program)
            .args(["up", "--any-port", "--data-dir"])
            .arg(&self.data)
            .stdout(said.try_clone().map_err(cannot)?)
            .stderr(said)
            .spawn()
            .map_err(cannot)?;
        self.input = child.stdin.take();
        let child = self.child.insert(child);
        loop {
            if let Some(status) = child.try_wait().map_err(cannot)? {
                return Err(self.ended(&status.to_string()));
            }
            // A killed run leaves its file behind, so the process id is compared.
            let running = files::running(Some(&self.data), "").unwrap_or_default();
            let number = running["pid"].as_u64();
            if number.is_some() && number == child.id().map(u64::from) {
                self.running = running;
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > START_MAX {
                return Err(self.ended("no word that it is ready"));
            }
            sleep(LOOK).await;
        }
    }

    /// Stops it as Ctrl-C does; nothing if it does not run.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // Held until it has ended: the end of its input would be a second signal, too.
        let _input = self.input.take();
        let number = child.id().and_then(|number| i32::try_from(number).ok());
        if let Some(number) = number.and_then(Pid::from_raw) {
            // A process that has already ended has to be waited for, too.
            let _ = kill_process(number, Signal::TERM);
        }
        match timeout(STOP_MAX, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.ended(&status.to_string())),
            Ok(Err(error)) => Err(self.ended(&error.to_string())),
            Err(_) => Err(Failure::new("the marketplace does not stop; it is killed")),
        }
    }

    /// The content of its `endpoints.json`.
    pub(super) fn running(&self) -> &Value {
        &self.running
    }

    /// The data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn gateway(&self) -> Result<Address, Failure> {
        address(&self.running["gateway"])
    }

    /// The admin port of a service.
    pub(super) fn admin(&self, service: &str) -> Result<Address, Failure> {
        address(&self.running["admin"][service])
    }

    /// The URL of a service's database.
    pub(super) fn database(&self, service: &str) -> Result<String, Failure> {
        text(&self.running["databases"][service]).map(str::to_owned)
    }

    /// The URL of any database of its server, as the superuser.
    pub(super) fn server(&self, database: &str) -> Result<String, Failure> {
        let server = text(&self.running["database"])?.trim_end_matches('/');
        Ok(format!("{server}/{database}"))
    }

    /// The resident memory of its process, in MiB.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub(super) fn memory(&self) -> Result<f64, Failure> {
        let number = self.child.as_ref().and_then(Child::id);
        let status = number.map(|number| fs::read_to_string(format!("/proc/{number}/status")));
        let status = status.and_then(Result::ok).unwrap_or_default();
        mebibytes(&status, "VmRSS:")
            .ok_or_else(|| Failure::new("this kernel does not say how much memory it takes"))
    }

    /// Does this; returns also the most memory that was measured meanwhile, or why it cannot be. The kernel's own peak is that of
    /// all stages since the start.
    pub(super) async fn most_memory_during<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> (T, Result<f64, Failure>) {
        most_during(|| self.memory(), work).await
    }

    fn output(&self) -> PathBuf {
        self.data.with_extension("output")
    }

    fn ended(&self, how: &str) -> Failure {
        let said = fs::read_to_string(self.output()).unwrap_or_default();
        let last = said.lines().last().unwrap_or("it said nothing");
        Failure::new(format!("the marketplace: {how}: {last}"))
    }
}

/// The program without our input, our environment and our process group. A terminal sends its Ctrl-C to the whole group: with our
/// own signal it would be a second one for the marketplace, which then ends at once and leaves PostgreSQL at work in a directory
/// that is being removed. What kills our group does not reach it either, so it has an input that ends with us.
fn apart(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(kept())
        .stdin(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn kept() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| KEPT.contains(&name)))
}

fn address(place: &Value) -> Result<Address, Failure> {
    text(place)?.parse().map_err(Failure::new)
}

fn text(place: &Value) -> Result<&str, Failure> {
    let text = place.as_str();
    text.ok_or_else(|| Failure::new("endpoints.json does not name everything"))
}

/// Does this, and looks meanwhile; returns also the most that was seen, or why nothing can be.
async fn most_during<T>(
    look: impl Fn() -> Result<f64, Failure>,
    work: impl Future<Output = T>,
) -> (T, Result<f64, Failure>) {
    let (mut looks, mut most) = (interval(MEMORY_LOOK), Ok(0.0_f64));
    tokio::pin!(work);
    loop {
        tokio::select! {
            // Work first: what was before it does not count.
            biased;
            done = &mut work => return (done, most),
            _ = looks.tick() => most = most.and_then(|most: f64| Ok(most.max(look()?))),
        }
    }
}

/// A number of KiB in what `/proc/<pid>/status` says, in MiB.
fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rustix::process::getpgid;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_terminals_ctrl_c_does_not_reach_it() {
        let mut child = apart(Path::new("sleep")).arg("60").spawn().expect("sleep");
        let number = child.id().and_then(|number| i32::try_from(number).ok());
        let number = number.and_then(Pid::from_raw);
        assert_eq!(getpgid(number).ok(), number, "a group of its own");
        child.kill().await.expect("its end");
    }

    #[tokio::test]
    async fn its_input_ends_with_this_process() {
        let mut child = apart(Path::new("cat")).spawn().expect("cat");
        let input = child.stdin.take();
        assert!(input.is_some(), "it has one that can end");
        drop(input);
        assert!(child.wait().await.expect("its end").success());
    }

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\tagora\nVmHWM:\t  204800 kB\nVmRSS:\t   76800 kB\n";
        assert_eq!(mebibytes(status, "VmRSS:"), Some(75.0));
        assert_eq!(mebibytes(status, "VmHWM:"), Some(200.0));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
    }

    #[tokio::test]
    async fn the_most_memory_is_that_of_the_work_and_of_nothing_before() {
        let (memory, looked) = (Cell::new(900.0), Notify::new());
        let look = || {
            looked.notify_one();
            Ok(memory.get())
        };
        let work = async {
            for taken in [80.0, 120.0, 100.0] {
                memory.set(taken);
                looked.notified().await;
            }
            "done"
        };
        let (done, most) = most_during(look, work).await;
        assert_eq!((done, most.expect("a figure")), ("done", 120.0));

        // The work goes on where nothing can be seen.
        let looked = Notify::new();
        let nothing = || {
            looked.notify_one();
            Err(Failure::new("the kernel does not tell"))
        };
        let ((), most) = most_during(nothing, looked.notified()).await;
        most.expect_err("no figure");
    }
}
