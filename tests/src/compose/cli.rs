//! What testcontainers has no verb for, through `docker compose` itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

/// One container of the project.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) service: String,
    state: String,
    health: String,
    exit_code: i64,
}

impl Container {
    /// Healthy, or without a health check; or it had one thing to do and did it.
    pub(super) fn is_well(&self) -> bool {
        match self.state.as_str() {
            "running" => self.health.is_empty() || self.health == "healthy",
            "exited" => self.service == "kafka-topics" && self.exit_code == 0,
            _ => false,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state == "paused"
    }
}

/// `docker compose` for one project.
#[derive(Debug)]
pub(super) struct Cli {
    root: PathBuf,
    project: String,
    files: Vec<PathBuf>,
    variables: Vec<(String, String)>,
    // Holds the file that `configure` writes.
    _scratch: tempfile::TempDir,
}

impl Cli {
    /// With docker-compose.yml and what is laid over it: a path below the root.
    pub(super) fn new(
        root: PathBuf,
        overlay: &str,
        project: String,
        variables: Vec<(String, String)>,
    ) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let settings = scratch.path().join("settings.json");
        std::fs::write(&settings, json!({"services": {}}).to_string()).expect("a file");
        let files = vec![
            root.join("docker-compose.yml"),
            root.join(overlay),
            settings,
        ];
        Self {
            root,
            project,
            files,
            variables,
            _scratch: scratch,
        }
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Environment variables of services, instead of those of the last call. Holds from the next `up`.
    pub(super) fn configure(&self, services: &[&str], variables: &[(&str, &str)]) {
        let environment: BTreeMap<_, _> = variables.iter().copied().collect();
        let services: BTreeMap<_, _> = services
            .iter()
            .map(|service| (*service, json!({"environment": environment})))
            .collect();
        // JSON is YAML.
        let settings = json!({"services": services}).to_string();
        std::fs::write(&self.files[2], settings).expect("the settings");
    }

    /// Runs `docker compose` and answers what it printed.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.current_dir(&self.root);
        command.args(["compose", "--project-name", &self.project]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(arguments);
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        output(command)
    }

    /// The compose file alone, with all profiles and without variables.
    pub(super) fn as_committed(&self) -> Value {
        let mut command = Command::new("docker");
        command.args(["compose", "--file"]).arg(&self.files[0]);
        // Not a developer's own .env.
        command.args(["--env-file", "/dev/null", "--profile", "*"]);
        command.args(["config", "--format", "json"]);
        serde_json::from_str(&output(command)).expect("JSON")
    }

    /// Runs `docker` and answers what it printed.
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(arguments);
        output(command)
    }

    pub(super) fn containers(&self) -> Vec<Container> {
        let lines = self.run(&["ps", "--all", "--format", "json"]);
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
            .map(|line| {
                let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                Container {
                    name: text("Name"),
                    service: text("Service"),
                    state: text("State"),
                    health: text("Health"),
                    exit_code: line["ExitCode"].as_i64().unwrap_or(-1),
                }
            })
            .collect()
    }
}

fn output(mut command: Command) -> String {
    let output = command.output().expect("to start docker");
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
