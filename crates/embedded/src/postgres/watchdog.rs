//! Ends a server whose parent ended without a word: `kill -9`, a panic in a test, an abort.
//!
//! A small shell waits for the end of a pipe that only this process holds open, so the operating system
//! itself tells it. (`PR_SET_PDEATHSIG` would be simpler, but is Linux only and needs `unsafe`.)

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::options::OnExit;
use crate::Error;
use crate::error::Context;

/// Reads lines: a number is the process to watch over, an empty line means none, `done` that nothing is
/// left to do. At the end of the input it ends that process, and then removes a directory (and unfinished
/// ones beside it) if it was given one. It waits 10 s at most: where nobody reaps orphans, an ended process looks alive for ever.
const SCRIPT: &str = r#"
while IFS= read -r line; do
  case $line in
    done) exit 0 ;;
    *) pid=$line ;;
  esac
done
if [ -n "$pid" ] && kill -s "$1" "$pid" 2>/dev/null; then
  tries=0
  while [ $tries -lt 100 ] && kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
  done
fi
if [ -n "$2" ]; then rm -rf "$2" "$2".unfinished-*; fi
"#;

/// The waiting shell. Dropping this without [`Watchdog::dismiss`] makes it act.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Starts to watch; `None` when nothing is to be done at the end.
    pub(crate) fn start(on_exit: OnExit, directory: &Path) -> Result<Option<Self>, Error> {
        // Data that goes away needs no checkpoint.
        let (signal, remove) = match on_exit {
            OnExit::Keep => return Ok(None),
            OnExit::Stop => ("INT", Path::new("")),
            OnExit::Remove => ("QUIT", directory),
        };
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog", signal])
            .arg(remove)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // A terminal's Ctrl-C and a kill of the parent's group must not reach it.
            .process_group(0)
            .spawn()
            .context("run", Path::new("/bin/sh"))?;
        Ok(Some(Self { shell }))
    }

    /// Tells it which process to watch over, if any.
    pub(crate) fn watch(&mut self, pid: Option<u32>) {
        self.say(&format!(
            "{}\n",
            pid.map(|pid| pid.to_string()).unwrap_or_default()
        ));
    }

    /// Ends it without any effect.
    pub(crate) fn dismiss(mut self) {
        self.say("done\n");
        let _ = self.shell.wait();
    }

    fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.shell.stdin
            && let Err(error) = input.write_all(line.as_bytes())
        {
            tracing::warn!(%error, "the watchdog of PostgreSQL has ended");
        }
    }
}
