//! What a service's sidecar reads: its certificate, its key and whom it trusts, replaced all at once.
//!
//! As Kubernetes replaces the files of a secret: the names that are read are links through `..data`, itself a link to the
//! directory of the moment. Renaming a new link over `..data` is one step, and the event that Envoy's `watched_directory`
//! waits for.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::authorities::Chosen;
use super::authority::Issued;
use super::files::{PUBLIC, SECRET, ensure_directory, make_directory, write_new};

/// The link that is replaced.
const CURRENT: &str = "..data";
/// What it is called before it takes the other's place.
const NEXT: &str = "..data.new";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const AUTHORITIES: &str = "authorities.pem";

/// The directory of a service.
#[derive(Debug)]
pub struct Credentials(PathBuf);

impl Credentials {
    /// Those in this directory.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// When the current certificate was issued, in seconds since 1970; none if there is none.
    #[must_use]
    pub fn issued_at(&self) -> Option<u64> {
        let current = self.current()?;
        current.strip_prefix("..")?.split('.').next()?.parse().ok()
    }

    /// Whether something else has to stand here: half of its life is over, or others sign or are trusted by now.
    pub(super) fn is_due(&self, chosen: &Chosen, now: u64, life: Duration) -> bool {
        let Some((current, issued)) = self.current().zip(self.issued_at()) else {
            return true;
        };
        // A clock that was set back is no reason to keep what it called young.
        let is_old = now.abs_diff(issued) >= life.as_secs() / 2;
        is_old || current != name(issued, chosen)
    }

    /// Puts new ones in the place of the old ones, in one step. The old ones stay until the next time, for whoever has begun
    /// to read them.
    pub(super) fn replace(&self, chosen: &Chosen, issued: &Issued, now: u64) -> io::Result<()> {
        ensure_directory(&self.0)?;
        let before = self.current();
        let name = name(now, chosen);
        let directory = self.0.join(&name);
        // A kill may have left a part of it.
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_directory(&directory)?;
        let authorities: String = chosen.trusted.iter().map(|(_, pem)| pem.as_str()).collect();
        write_new(&directory.join(KEY), &issued.key, SECRET)?;
        write_new(&directory.join(CERTIFICATE), &issued.certificate, PUBLIC)?;
        write_new(&directory.join(AUTHORITIES), &authorities, PUBLIC)?;
        self.link(CERTIFICATE)?;
        self.link(KEY)?;
        self.link(AUTHORITIES)?;
        replace_link(Path::new(&name), &self.0.join(NEXT), &self.0.join(CURRENT))?;
        self.remove_all_but(&[Some(name), before])
    }

    /// The name of the current directory.
    fn current(&self) -> Option<String> {
        let target = fs::read_link(self.0.join(CURRENT)).ok()?;
        target.to_str().map(ToOwned::to_owned)
    }

    /// A name that is read, through the link that is replaced.
    fn link(&self, file: &str) -> io::Result<()> {
        match symlink(Path::new(CURRENT).join(file), self.0.join(file)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_all_but(&self, kept: &[Option<String>]) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok();
            // Links are no directories: their type is their own, not that of what they point to.
            if entry.file_type()?.is_dir() && !kept.contains(&name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A directory's name: when its certificate was issued, by whom, and whom it trusts.
fn name(issued: u64, chosen: &Chosen) -> String {
    let trusted: Vec<String> = chosen
        .trusted
        .iter()
        .map(|(id, _)| id.to_string())
        .collect();
    format!("..{issued}.{}.{}", chosen.signer.id(), trusted.join("-"))
}

/// Renames over what is there: whoever opens the link gets the old target or the new one, and never none.
fn replace_link(target: &Path, unfinished: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, unfinished)?;
    fs::rename(unfinished, link)
}
