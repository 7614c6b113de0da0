//! The mesh from outside: what its authority writes, and what the committed files say.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions, not in their helpers"
)]

mod authority;
mod committed;
mod mishaps;
mod program;
mod rotation;
mod strangers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesh::ca::{Authorities, Ca, pass};
use tempfile::TempDir;

/// A moment: what is tested does not look at the clock.
const NOW: u64 = 1_800_000_000;
const LIFE: u64 = 3_600;
const TRUST_FIRST: u64 = 30;

/// An authority in a directory of its own.
struct Mesh {
    ca: Ca,
    authorities: Authorities,
    _directory: TempDir,
}

impl Mesh {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca {
            certificates: directory.path().join("certificates"),
            state: directory.path().join("state"),
            life: Duration::from_secs(LIFE),
            authority_life: Duration::from_secs(30 * 24 * LIFE),
            trust_first: Duration::from_secs(TRUST_FIRST),
            rotate_authority: false,
            once: false,
            check: false,
        };
        fs::create_dir(&ca.certificates).unwrap();
        Self {
            authorities: Authorities::open(&ca.state).unwrap(),
            ca,
            _directory: directory,
        }
    }

    fn pass(&self, now: u64) {
        pass(&self.ca, &self.authorities, now).unwrap();
    }

    fn path(&self, service: &str, file: &str) -> PathBuf {
        self.ca.certificates.join(service).join(file)
    }

    fn read(&self, service: &str, file: &str) -> String {
        fs::read_to_string(self.path(service, file)).unwrap()
    }

    /// The directory of the authority that was made at this time, if there is one.
    fn authority(&self, made: u64) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.ca.state).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{made}-"))
        })
    }

    /// The directory that a service's files are in at the moment.
    fn current(&self, service: &str) -> PathBuf {
        fs::read_link(self.path(service, "..data")).unwrap()
    }
}

fn repository() -> &'static Path {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    services.and_then(Path::parent).unwrap()
}
