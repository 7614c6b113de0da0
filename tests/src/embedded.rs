//! The marketplace in one process of its own: `agora up`, started as a user would start it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mail::Mail;
use crate::marketplace::{Marketplace, Stopped};
use crate::shop::Shop;
use crate::tap::{Brokers, Tap};
use crate::{mail, wait};

/// With this in its environment the scenarios' executable is the marketplace itself.
pub const CHILD: &str = "AGORA_SCENARIO_CHILD";

/// How long a start may take: on a busy machine, unoptimised, with a new database cluster.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// A running `agora up`. It is killed, and its data directory removed, when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    child: Child,
    directory: PathBuf,
    variables: Vec<(String, String)>,
    descriptors: Option<u32>,
    endpoints: Value,
    // Removed last, after the process that writes to it has gone.
    _temporary: tempfile::TempDir,
}

impl Embedded {
    /// Starts on a new data directory with additional environment variables, and waits until all is ready.
    ///
    /// # Panics
    /// When it does not become ready; the message has what it printed.
    #[must_use]
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with(variables, None)
    }

    /// The same in a process that may have no more than so many file descriptors.
    ///
    /// # Panics
    /// As [`Embedded::start`].
    #[must_use]
    pub fn start_with(variables: &[(&str, &str)], descriptors: Option<u32>) -> Self {
        let temporary = tempfile::Builder::new()
            .prefix("agora-scenario-")
            .tempdir()
            .expect("a directory");
        let directory = temporary.path().join("data");
        let variables: Vec<_> = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        // PostgreSQL refuses to run as root, and the user it runs as must reach its files.
        open_to_others(temporary.path());
        let mut child = spawn(&directory, &variables, descriptors);
        let endpoints = ready(&mut child, &directory);
        Self {
            child,
            directory,
            variables,
            descriptors,
            endpoints,
            _temporary: temporary,
        }
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The base URL of a service's admin port.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn admin(&self, service: &str) -> String {
        let url = self.endpoints["admin"][service].as_str();
        url.expect("an admin port").to_owned()
    }

    /// The URL of a database of its server that is no service's, as the superuser.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}/postgres", self.member("database").trim_end_matches('/'))
    }

    /// What another `agora` prints that is told of this one.
    ///
    /// # Panics
    /// When it fails; the message has what it said.
    #[must_use]
    pub fn agora(&self, arguments: &[&str]) -> String {
        let output = command(arguments)
            .arg("--data-dir")
            .arg(&self.directory)
            .envs(self.variables.iter().map(|(k, v)| (k, v)))
            .output()
            .expect("to start this executable as the command");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The directory that mails are written to.
    #[must_use]
    pub fn mail(&self) -> &Path {
        Path::new(self.member("mail"))
    }

    /// The metrics of all services, as Prometheus reads them.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn metrics(&self) -> String {
        let port = Shop::new(&self.admin("gateway"));
        port.get("/metrics", None).expect(200).text
    }

    /// The process's resident memory, in KiB.
    ///
    /// # Panics
    /// Where the kernel does not tell.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that its resident memory ever was, in KiB.
    ///
    /// # Panics
    /// Where the kernel does not tell.
    #[must_use]
    pub fn resident_most_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a process's status");
        let mut lines = status.lines();
        let resident = lines.find_map(|line| line.strip_prefix(name));
        let number = resident.and_then(|text| text.split_whitespace().next());
        number.and_then(|text| text.parse().ok()).expect(name)
    }

    /// One member of `endpoints.json`.
    fn member(&self, name: &str) -> &str {
        self.endpoints[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.endpoints))
    }

    fn send_term(&self) -> bool {
        let sent = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        sent.is_ok_and(|status| status.success())
    }
}

impl Marketplace for Embedded {
    fn endpoint(&self, service: &str) -> String {
        self.member(service).to_owned()
    }

    fn tap(&self, topics: &[&str]) -> Tap {
        let brokers = Brokers {
            address: self.member("kafka").to_owned(),
            account: None,
        };
        Tap::open(&brokers, topics)
    }

    fn database(&self, service: &str) -> String {
        let url = self.endpoints["databases"][service].as_str();
        url.expect("a database's URL").to_owned()
    }

    fn mails_naming(&self, needle: &str) -> Option<Vec<String>> {
        let mut mails = mail::in_directory(self.mail());
        mails.retain(|mail| mail.contains(needle));
        Some(mails)
    }

    fn mails_to(&self, address: &str) -> Option<Vec<Mail>> {
        let sources = self.mails_naming(address)?;
        Some(sources.iter().map(|source| Mail::parse(source)).collect())
    }

    /// From `admin.json`.
    fn administrator(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.directory.join("admin.json")).expect("admin.json");
        let admin: Value = serde_json::from_str(&text).expect("JSON");
        let member = |name: &str| admin[name].as_str().expect(name).to_owned();
        (member("email"), member("password"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("agora.log")).unwrap_or_default()
    }

    fn is_one_process(&self) -> bool {
        true
    }

    fn kill(&mut self) {
        self.child.kill().expect("to kill the process");
        self.child.wait().expect("the process to end");
    }

    fn restart(&mut self) {
        self.child = spawn(&self.directory, &self.variables, self.descriptors);
        self.endpoints = ready(&mut self.child, &self.directory);
    }

    fn stop(&mut self) -> Vec<Stopped> {
        let since = Instant::now();
        assert!(self.send_term(), "the signal is sent");
        let status = wait::until("the process to end", || {
            self.child.try_wait().expect("a status")
        });
        assert!(
            !self.directory.join("endpoints.json").exists(),
            "the file is removed"
        );
        vec![Stopped {
            process: "agora".to_owned(),
            code: status.code(),
            took: since.elapsed(),
        }]
    }

    /// Far more than the five seconds that `agora up` promises, which its own tests hold it to: containers are beside it here.
    fn stop_max(&self) -> Duration {
        Duration::from_secs(30)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // A clean stop also stops PostgreSQL; a scenario that failed may have left it half-way.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.send_term();
            let end = Instant::now() + Duration::from_secs(15);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(wait::POLL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `agora` with these arguments.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = program(None);
    command.args(arguments).env(CHILD, "1").stdin(Stdio::null());
    command
}

fn spawn(directory: &Path, variables: &[(String, String)], descriptors: Option<u32>) -> Child {
    let output = std::fs::File::create(directory.with_extension("output")).expect("an output file");
    let errors = output.try_clone().expect("the same file");
    program(descriptors)
        .args(["up", "--any-port", "--data-dir"])
        .arg(directory)
        .env(CHILD, "1")
        .envs(variables.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("to start this executable as the marketplace")
}

/// This executable. A limit is the shell's to set, hard and soft, before it becomes the program.
fn program(descriptors: Option<u32>) -> Command {
    let executable = std::env::current_exe().expect("this executable");
    let Some(descriptors) = descriptors else {
        return Command::new(executable);
    };
    let mut shell = Command::new("sh");
    let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    shell.args(["-c", &limited]).arg(executable);
    shell
}

/// Waits for an `endpoints.json` of this very process.
fn ready(child: &mut Child, directory: &Path) -> Value {
    wait::until_within(START_PATIENCE, "the marketplace to be ready", || {
        if let Some(status) = child.try_wait().expect("a status") {
            let output = std::fs::read_to_string(directory.with_extension("output"));
            panic!(
                "the marketplace ended with {status}: {}",
                output.unwrap_or_default()
            );
        }
        let text = std::fs::read_to_string(directory.join("endpoints.json")).ok()?;
        let endpoints: Value = serde_json::from_str(&text).ok()?;
        // A killed run leaves its file behind: only an answering gateway of the new one counts.
        (endpoints["pid"] == child.id()).then_some(endpoints)
    })
}

#[cfg(unix)]
fn open_to_others(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(directory, mode).expect("to change the directory's mode");
}
