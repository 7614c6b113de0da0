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
use super::authority::{Issued, Life};
use super::files::{PUBLIC, SECRET, ensure_directory, make_directory, sync_directory, write_new};

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

    /// Whether there is a certificate that is good at `now`, with all that belongs to it.
    #[must_use]
    pub fn are_good(&self, now: u64) -> bool {
        let made = self.current().as_deref().and_then(made);
        // By the life that it was given, whatever one gets by now. A clock that was set back finds one that has not begun.
        let is_alive = made.is_some_and(|(issued, life)| Life::starting(issued, life).holds(now));
        let is_there = |file: &str| self.0.join(file).exists();
        is_alive && [CERTIFICATE, KEY, AUTHORITIES].into_iter().all(is_there)
    }

    /// Whether something else has to stand here: half of its life is over, it is not good, or by now others sign or are trusted, or
    /// lives are of another length.
    pub(super) fn is_due(&self, chosen: &Chosen, now: u64, life: Duration) -> bool {
        let Some(current) = self.current().filter(|_| self.are_good(now)) else {
            return true;
        };
        made(&current).is_none_or(|(issued, _)| {
            let is_old = now.saturating_sub(issued) >= life.as_secs() / 2;
            is_old || current != name(issued, life, chosen)
        })
    }

    /// Puts new ones in the place of the old ones, in one step. The old ones stay until the next time, for whoever has begun
    /// to read them.
    pub(super) fn replace(
        &self,
        chosen: &Chosen,
        issued: &Issued,
        now: u64,
        life: Duration,
    ) -> io::Result<()> {
        ensure_directory(&self.0)?;
        let before = self.current();
        // First, so that there is room: what is older than the old ones, and what a kill has left of others.
        self.remove_all_but(before.as_deref())?;
        let name = name(now, life, chosen);
        let directory = self.0.join(&name);
        let written = write(&directory, chosen, issued).and_then(|()| {
            for file in [CERTIFICATE, KEY, AUTHORITIES] {
                self.link(file)?;
            }
            self.put(Path::new(&name), CURRENT)
        });
        if written.is_err() && before.is_none_or(|before| before != name) {
            // It is tried again, and a full disk has no room for a part of each try.
            let _ = fs::remove_dir_all(&directory);
        }
        written
    }

    /// The name of the current directory.
    fn current(&self) -> Option<String> {
        let target = fs::read_link(self.0.join(CURRENT)).ok()?;
        target.to_str().map(ToOwned::to_owned)
    }

    /// A name that is read, through the link that is replaced. A file in its place would be read for ever.
    fn link(&self, file: &str) -> io::Result<()> {
        let target = Path::new(CURRENT).join(file);
        match fs::read_link(self.0.join(file)) {
            Ok(there) if there == target => Ok(()),
            _ => self.put(&target, file),
        }
    }

    /// Renames a link over what is there: whoever opens it gets the old target or the new one, and never none.
    fn put(&self, target: &Path, name: &str) -> io::Result<()> {
        let unfinished = self.0.join(NEXT);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(target, &unfinished)?;
        fs::rename(&unfinished, self.0.join(name))
    }

    /// Of directories with certificates; what else lies here is somebody else's.
    fn remove_all_but(&self, kept: Option<&str>) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let name = file_name.to_str();
            let is_ours = name.is_some_and(|name| made(name).is_some());
            // Links are no directories: their type is their own, not that of what they point to.
            if entry.file_type()?.is_dir() && is_ours && name != kept {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn write(directory: &Path, chosen: &Chosen, issued: &Issued) -> io::Result<()> {
    make_directory(directory)?;
    let authorities: String = chosen.trusted.iter().map(|(_, pem)| pem.as_str()).collect();
    write_new(&directory.join(KEY), &issued.key, SECRET)?;
    write_new(&directory.join(CERTIFICATE), &issued.certificate, PUBLIC)?;
    write_new(&directory.join(AUTHORITIES), &authorities, PUBLIC)?;
    sync_directory(directory)
}

/// A directory's name: when its certificate was issued, for how many seconds, by whom, and whom it trusts.
fn name(issued: u64, life: Duration, chosen: &Chosen) -> String {
    let trusted: Vec<String> = chosen
        .trusted
        .iter()
        .map(|(id, _)| id.to_string())
        .collect();
    let (life, signer) = (life.as_secs(), chosen.signer.id());
    format!("..{issued}.{life}.{signer}.{}", trusted.join("-"))
}

/// When the certificate in a directory of this name was issued, and for how long; none if no certificate is in it.
fn made(name: &str) -> Option<(u64, Duration)> {
    let mut parts = name.strip_prefix("..")?.split('.');
    let mut number = || parts.next()?.parse::<u64>().ok();
    Some((number()?, Duration::from_secs(number()?)))
}
