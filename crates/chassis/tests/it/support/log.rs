//! The log of this test process: JSON lines in a file.

use std::path::PathBuf;
use std::sync::OnceLock;

use chassis::config::LogFormat;
use chassis::telemetry::{self, Guard, RotatingFile, Telemetry, Writer};
use serde_json::Value;

struct Log {
    path: PathBuf,
    _guard: Guard,
    _dir: tempfile::TempDir,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Sets the telemetry up, once for all tests.
pub(crate) fn init() {
    LOG.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.log");
        let file = RotatingFile::open(&path).unwrap();
        let guard = telemetry::init(Telemetry {
            service: "it",
            log_format: LogFormat::Json,
            otlp_endpoint: None,
            writer: Writer::File(file),
        });
        Log {
            path,
            _guard: guard.unwrap(),
            _dir: dir,
        }
    });
}

/// The lines so far that contain `text`.
pub(crate) fn lines_with(text: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(&LOG.get().expect("init() first").path).unwrap();
    log.lines()
        .filter(|line| line.contains(text))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
