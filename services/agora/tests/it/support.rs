//! Starting `agora`, waiting for it, ending it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks at a condition that nothing announces.
const POLL: Duration = Duration::from_millis(10);

/// Variables that would change what `agora` does, should the tests' own environment have them.
const CLEARED: [&str; 15] = [
    "AGORA_DATA_DIR",
    "AGORA_POSTGRES",
    "AGORA_POSTGRES_SEARCH",
    "DATABASE_URL",
    "KAFKA_BROKERS",
    "KAFKA_USERNAME",
    "KAFKA_PASSWORD",
    "KAFKA_MECHANISM",
    "KAFKA_CA",
    "SMTP_URL",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "ADMIN_BIND_HOST",
    "ADMIN_HOSTS",
    "ADMIN_TOKEN",
];

/// A directory for one test, which PostgreSQL's user can reach.
#[derive(Debug)]
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("agora-it-")
            .tempdir()
            .expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("its mode");
        Self(directory)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The directory in which PostgreSQL's cluster is being made, while it is.
    pub(crate) fn unfinished_cluster(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(self.data()).ok()?.flatten();
        let is_one = |name: &str| name.starts_with("postgres.unfinished-");
        entries
            .find(|e| e.file_name().to_str().is_some_and(is_one))
            .map(|entry| entry.path())
    }

    /// `agora` with these arguments, on any port, with its data here.
    pub(crate) fn agora(&self, arguments: &[&str]) -> Command {
        self.placed(agora(arguments))
    }

    /// `agora up` in the same way, with SIGHUP at its default: what a runner under `nohup` starts ignores it. GNU's `env` can
    /// undo that.
    pub(crate) fn agora_that_hears_hangups(&self) -> Command {
        if !cfg!(target_os = "linux") {
            return self.agora(&["up"]);
        }
        let env = Command::new("/usr/bin/env");
        self.placed(cleared(env, &["--default-signal=HUP", AGORA, "up"]))
    }

    /// The command on any port, with its data here.
    fn placed(&self, mut command: Command) -> Command {
        command.args(["--any-port", "--data-dir"]).arg(self.data());
        command
    }
}

/// The program that is tested.
const AGORA: &str = env!("CARGO_BIN_EXE_agora");

/// `agora` with these arguments.
pub(crate) fn agora(arguments: &[&str]) -> Command {
    cleared(Command::new(AGORA), arguments)
}

/// `agora` with these arguments, from a shell that allows so many open files until more are asked for.
pub(crate) fn agora_with_files(open_files: u32, arguments: &[&str]) -> Command {
    let limited = format!("ulimit -S -n {open_files} && exec \"$0\" \"$@\"");
    let arguments = [&["-c", limited.as_str(), AGORA], arguments].concat();
    cleared(Command::new("/bin/sh"), &arguments)
}

/// The command with these arguments, no input, and nothing in its environment that would change what `agora` does.
fn cleared(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments).stdin(Stdio::null());
    for name in CLEARED {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end: exit code, standard output, standard error.
pub(crate) fn run(command: Command) -> (i32, String, String) {
    run_into(command, Stdio::piped())
}

/// An output whose reader has gone, as `head` has that read enough.
pub(crate) fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// The same as [`run`] with another output, of which nothing is read.
pub(crate) fn run_into(mut command: Command, output: Stdio) -> (i32, String, String) {
    let mut child = command
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .expect("to start agora");
    let end = Instant::now() + PATIENCE;
    // What it prints is far less than a pipe holds, so it never waits for its reader.
    while child.try_wait().expect("a status").is_none() {
        if Instant::now() >= end {
            child.kill().expect("to kill it");
            let output = child.wait_with_output().expect("its output");
            panic!("it does not end by itself: {output:?}");
        }
        std::thread::sleep(POLL);
    }
    let output = child.wait_with_output().expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("an exit code"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Asserts that there is exactly one line, and that it names all of these.
pub(crate) fn assert_line(text: &str, parts: &[&str]) {
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// A marketplace that is ready. It is stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Market {
    child: Child,
    data: PathBuf,
    output: PathBuf,
    pub(crate) endpoints: Value,
}

impl Market {
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_with(place, place.agora(&["up"]))
    }

    /// Starts this command, whose data is in `place`, and waits until it is ready.
    pub(crate) fn start_with(place: &Place, mut command: Command) -> Self {
        let output = place.path("output");
        let file = fs::File::create(&output).expect("a file");
        let errors = file.try_clone().expect("the same file");
        let child = command
            .stdout(file)
            .stderr(errors)
            .spawn()
            .expect("to start agora");
        let mut market = Self {
            child,
            data: place.data(),
            output,
            endpoints: Value::Null,
        };
        let own = u64::from(market.child.id());
        market.endpoints = until("the marketplace to be ready", || {
            if let Some(status) = market.child.try_wait().expect("a status") {
                panic!("it ended with {status}: {}", market.output());
            }
            let endpoints = read_json(&market.data.join("endpoints.json"))?;
            let printed = market.output().contains("Ctrl-C");
            (endpoints["pid"].as_u64() == Some(own) && printed).then_some(endpoints)
        });
        market
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).expect("the output")
    }

    pub(crate) fn endpoint(&self, name: &str) -> &str {
        self.endpoints[name].as_str().expect(name)
    }

    /// Its standard input, if it was started with a pipe.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    /// Waits for its end: how it ended, and how long that took.
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        let status = until("the end of agora", || {
            self.child.try_wait().expect("a status")
        });
        (status, since.elapsed())
    }

    /// Stops it as Ctrl-C does.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::INT);
        let (status, _) = self.ended();
        assert!(status.success(), "{status}: {}", self.output());
    }

    /// The process id of its PostgreSQL.
    pub(crate) fn postgres(&self) -> u32 {
        postgres_of(&self.data)
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // Its watchdog stops PostgreSQL, which must not lose its directory before that.
        let end = Instant::now() + Duration::from_secs(20);
        while postgres_runs(&self.data) && Instant::now() < end {
            std::thread::sleep(POLL);
        }
    }
}

/// Whether PostgreSQL has its file, and the process that is named there exists: one that was killed leaves the file.
fn postgres_runs(data: &Path) -> bool {
    let file = data.join("postgres/data/postmaster.pid");
    let text = fs::read_to_string(file).unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.parse().ok());
    let pid = pid.and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

pub(crate) fn postgres_of(data: &Path) -> u32 {
    let file = data.join("postgres/data/postmaster.pid");
    let text = fs::read_to_string(file).expect("postmaster.pid");
    text.lines()
        .next()
        .expect("a line")
        .parse()
        .expect("a number")
}

pub(crate) fn kill(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("to send a signal");
}

pub(crate) fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Waits for a condition.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(POLL);
    }
}

/// The status code of a GET.
pub(crate) fn status(url: &str) -> u16 {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build();
    let answer = ureq::Agent::new_with_config(config).get(url).call();
    answer.map_or(0, |answer| answer.status().as_u16())
}
