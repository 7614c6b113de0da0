//! The file with the authority of the brokers' certificates, and whether it was renewed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

/// librdkafka reads the file when a client is made, and never again: a renewed authority needs a new client.
#[derive(Debug, Clone)]
pub(super) struct Authority(Arc<File>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// What was in it when it was last looked at. A few kB.
    known: Mutex<Vec<u8>>,
}

impl Authority {
    /// To be made before the client: what is written in between is found once more, which does no harm.
    pub(super) fn at(path: PathBuf) -> Self {
        let known = fs::read(&path).unwrap_or_default();
        Self(Arc::new(File {
            path,
            known: Mutex::new(known),
        }))
    }

    /// Whether it has changed since this was last asked. A file that cannot be read has not: somebody may be replacing it.
    pub(super) async fn was_renewed(&self) -> bool {
        let file = Arc::clone(&self.0);
        let look = tokio::task::spawn_blocking(move || {
            let now = fs::read(&file.path).ok()?;
            let mut known = file.known.lock();
            let is_new = *known != now;
            *known = now;
            Some(is_new)
        });
        matches!(look.await, Ok(Some(true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_there_is_new_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crt");
        fs::write(&path, "old").unwrap();
        let authority = Authority::at(path.clone());
        assert!(!authority.was_renewed().await);
        fs::remove_file(&path).unwrap();
        assert!(!authority.was_renewed().await, "it is being replaced");
        fs::write(&path, "new").unwrap();
        assert!(authority.was_renewed().await);
        assert!(!authority.was_renewed().await);
    }
}
