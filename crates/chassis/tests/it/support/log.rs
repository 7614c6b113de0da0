//! The log of this test process: JSON lines in a file.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::OnceLock;

use chassis::telemetry::{self, Guard, LogFormat, RotatingFile, Telemetry, Writer};
use parking_lot::Mutex;
use serde_json::Value;

struct Log {
    reader: Mutex<File>,
    _guard: Guard,
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
        // The panic hook of the telemetry writes to the file; who reads a failed test wants to see it.
        let logging = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            eprintln!("{info}");
            logging(info);
        }));
        // Both ends are open: the name may go, and nothing is left behind when the process ends.
        Log {
            reader: Mutex::new(File::open(&path).unwrap()),
            _guard: guard.unwrap(),
        }
    });
}

/// The lines so far that contain `text`.
pub(crate) fn lines_with(text: &str) -> Vec<Value> {
    let mut log = String::new();
    let mut reader = LOG.get().expect("init() first").reader.lock();
    reader.rewind().unwrap();
    reader.read_to_string(&mut log).unwrap();
    log.lines()
        .filter(|line| line.contains(text))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
