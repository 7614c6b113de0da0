//! Removes the containers when the process that wanted them is gone, however it went.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, then removes the project. A pipe and not a signal handler: the kernel
/// closes it after a panic, Ctrl-C and `kill -9` alike.
const SCRIPT: &str = "read -r _; exec docker compose --project-name \"$1\" down --volumes --remove-orphans --timeout 1";

/// The process that waits for our end. Dropping it makes it do its work; it is not waited for.
#[derive(Debug)]
pub(super) struct Guardian(Child);

impl Guardian {
    /// Of the containers, networks and volumes of a Compose project.
    pub(super) fn of(project: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guardian", project])
            // Away from the compose file of the working directory.
            .current_dir("/")
            // A group of its own: Ctrl-C in the terminal is for us, not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("to start a shell");
        Self(child)
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends at once when all is removed already. A failure has nobody to be told to.
        let _ = self.0.wait();
    }
}
