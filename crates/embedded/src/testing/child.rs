//! A part of a test in a process of its own, which can be killed as those of production are.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The environment variable with the child's task, as JSON.
const TASK: &str = "EMBEDDED_TEST_CHILD";

/// This test's executable once more, which does one task. It is killed when this is dropped, and ends with its parent
/// however that one ends.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Starts it. `test` is the ignored test that asks for its [`task`] and does it; it is the only one that runs. Where an
    /// executable has a `main` of its own, that asks for the task before anything else.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(test: &str, task: &Value) -> Self {
        let executable = std::env::current_exe().expect("this executable");
        let child = Command::new(executable)
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(TASK, task.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("to start this executable once more"))
    }

    /// Kills it as `kill -9` does, and waits for its end.
    ///
    /// # Panics
    /// When it had ended by itself: a test that kills nothing proves nothing.
    pub fn kill(mut self) {
        let ended = self.0.try_wait().expect("its state");
        assert!(ended.is_none(), "the child ended by itself: {ended:?}");
        self.end();
    }

    fn end(&mut self) {
        // It may have ended already.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a parent wants this process to do; none where it is no child. From then on the process ends with its parent.
///
/// # Panics
/// When it is not JSON.
#[must_use]
pub fn task() -> Option<Value> {
    let task = std::env::var(TASK).ok()?;
    std::thread::spawn(|| {
        // The parent writes nothing: this returns when its end of the pipe is closed.
        let _closed = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    Some(serde_json::from_str(&task).expect("a task"))
}
