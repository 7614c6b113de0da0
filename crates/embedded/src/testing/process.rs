//! A service as a process of its own, and what it logs.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The longest wait for anything, in a test that is about to fail.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often readiness is asked for: nothing announces it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One running service; killed when it is dropped. The log of a process is whole and its own, which that of a task is not.
#[derive(Debug)]
pub struct Process {
    lines: watch::Receiver<Arc<Vec<Value>>>,
    _child: Child,
}

impl Process {
    /// Starts an executable that is built on `chassis`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start<T: AsRef<str>>(executable: &str, arguments: &[T]) -> Self {
        let mut child = Command::new(executable)
            .args(arguments.iter().map(AsRef::as_ref))
            .args(["--log-format", "json"])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("to start it");
        let mut read = BufReader::new(child.stderr.take().expect("its log")).lines();
        let (seen, lines) = watch::channel(Arc::default());
        tokio::spawn(async move {
            while let Ok(Some(line)) = read.next_line().await {
                let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                seen.send_modify(|lines: &mut Arc<Vec<Value>>| Arc::make_mut(lines).push(line));
            }
        });
        Self {
            lines,
            _child: child,
        }
    }

    /// Where it listens, by the name of the port in its log.
    ///
    /// # Panics
    /// When it does not say so.
    pub async fn address(&self, port: &str) -> SocketAddr {
        let named = |line: &Value| {
            let listening = line["message"] == "listening";
            let own = line["port"] == port && listening;
            let address = line["address"].as_str().filter(|_| own)?;
            address.parse().ok()
        };
        let mut lines = self.lines.clone();
        let found = lines.wait_for(|lines| lines.iter().any(|line| named(line).is_some()));
        let found = tokio::time::timeout(PATIENCE, found).await;
        let found = found.expect("it listens").expect("it runs");
        found.iter().find_map(named).expect("an address")
    }

    /// What `/readyz` answers: its status, and its body.
    ///
    /// # Panics
    /// When the admin port does not answer.
    pub async fn readiness(&self) -> (u16, Value) {
        let admin = self.address("admin").await;
        let answer = async {
            let mut stream = TcpStream::connect(admin).await?;
            let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer: std::io::Result<String> = answer.await;
        let answer = answer.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head[9..12].parse().expect("a status");
        (status, serde_json::from_str(body).expect("a report"))
    }

    /// Waits until `/readyz` says this of a dependency.
    ///
    /// # Panics
    /// When it does not.
    pub async fn until_dependency_is(&self, name: &str, state: &str) {
        let so = async {
            loop {
                let (_, report) = self.readiness().await;
                let mut all = report["dependencies"].as_array().into_iter().flatten();
                if all.any(|known| known["name"] == name && known["state"] == state) {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, so).await;
        if waited.is_err() {
            let (_, report) = self.readiness().await;
            let lines = self.lines.borrow().clone();
            panic!("{name} is not {state}: {report:#}\nlogged: {lines:#?}");
        }
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it is not.
    pub async fn until_ready(&self) {
        let ready = async {
            while self.readiness().await.0 != 200 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ready).await;
        waited.expect("it is ready");
    }

    /// The lines so far that somebody should look at: WARN and ERROR, but for those of sqlx about statements that took a second,
    /// as any may on a busy machine.
    #[must_use]
    pub fn warnings(&self) -> Vec<Value> {
        let is_loud = |line: &Value| line["level"] == "WARN" || line["level"] == "ERROR";
        self.lines_that(|line| is_loud(line) && line["target"] != "sqlx::query")
    }

    fn lines_that(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.lines.borrow();
        lines.iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// Asserts that there was one outage: one WARN when the dependency went, one INFO when it came back, and nothing else that
    /// somebody should look at. Waits for the INFO.
    ///
    /// # Panics
    /// When it is otherwise.
    pub async fn assert_one_outage(&self, dependency: &str) {
        let back = |line: &Value| line["level"] == "INFO" && line["message"] == "reachable again";
        let mut lines = self.lines.clone();
        let heard = lines.wait_for(|lines| lines.iter().any(back));
        let heard = tokio::time::timeout(PATIENCE, heard).await.is_ok();
        let warnings = self.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert_eq!(warnings[0]["level"], "WARN");
        assert_eq!(warnings[0]["dependency"], dependency);
        assert!(heard, "nothing says that {dependency} is back");
        let back = self.lines_that(back);
        assert_eq!(back.len(), 1, "{back:#?}");
        assert_eq!(back[0]["dependency"], dependency);
    }
}
