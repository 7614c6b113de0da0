//! The example service `hello` as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The program that `cargo test` built beside this one.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples")
        .join("service");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p chassis --examples",
        path.display()
    );
    path
}

/// A command with a clean environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(program());
    command.env_clear().stdin(Stdio::null());
    command
}

/// The same with SIGHUP at its default: what a runner under `nohup` starts ignores it. GNU's `env` can undo that, a shell's
/// `trap` cannot.
pub(crate) fn command_that_hears_hangups() -> Command {
    if !cfg!(target_os = "linux") {
        return command();
    }
    let mut command = Command::new("/usr/bin/env");
    command
        .arg("--default-signal=HUP")
        .arg(program())
        .env_clear()
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    command()
        .args(args)
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// A running one; killed when it is dropped.
pub(crate) struct Hello {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Hello {
    pub(crate) fn start(env: &[(&str, &str)]) -> Self {
        Self::started_by(command(), env)
    }

    /// Starts it by a command that still lacks its arguments.
    pub(crate) fn started_by(mut command: Command, env: &[(&str, &str)]) -> Self {
        command
            .args(["--http-port", "0", "--admin-port", "0"])
            .envs(env.iter().copied());
        Self::of(command)
    }

    /// The one that `command` starts.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("an address").unwrap();
            line.strip_prefix(name)
                .unwrap_or_else(|| panic!("{line}"))
                .trim()
                .parse()
                .unwrap()
        };
        let (http, admin) = (address("http"), address("admin"));
        Self { child, http, admin }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
