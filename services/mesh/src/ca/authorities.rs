//! The authorities on disk: which one signs, and which ones are trusted.
//!
//! Nobody may meet a certificate of an authority that it does not trust yet. So an authority is trusted for a while before
//! it signs, and for as long after it as what it has signed is good:
//!
//! ```text
//! old   signs ───────────────────────┐ trusted ── until its last certificate has ended
//! new                trusted ────────┴ signs ─────────────────────
//!                    └ trust_first ──┘
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Fatal;

use super::args::Ca;
use super::authority::{Authority, Issued, Life};
use super::files::{PUBLIC, SECRET, ensure_directory, make_directory, write_new};

/// What a directory is called until all of it is there.
const UNFINISHED: &str = ".new";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// The directory of all authorities.
#[derive(Debug)]
pub struct Authorities(PathBuf);

/// Who signs at a moment, and who is trusted.
pub(super) struct Chosen {
    pub(super) signer: Authority,
    /// Their certificates, the oldest first, by the times when they were made.
    pub(super) trusted: Vec<(u64, String)>,
}

impl Authorities {
    /// Those in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        ensure_directory(path).map_err(|error| Fatal::from(error).context(path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Adds a new one, called after `now`. It is there wholly or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or there is one of this second.
    pub fn add(&self, now: u64, life: Duration) -> Result<(), Fatal> {
        let (_, issued) = Authority::make(now, Life::starting(now, life))?;
        // Of this process only: another one may be adding as well.
        let unfinished = self
            .0
            .join(format!("{now}.{}{UNFINISHED}", std::process::id()));
        self.write(&unfinished, &issued)
            .and_then(|()| fs::rename(&unfinished, self.0.join(now.to_string())))
            .map_err(|error| Fatal::from(error).context("adding an authority"))
    }

    fn write(&self, directory: &Path, issued: &Issued) -> std::io::Result<()> {
        make_directory(directory)?;
        write_new(&directory.join(KEY), &issued.key, SECRET)?;
        write_new(&directory.join(CERTIFICATE), &issued.certificate, PUBLIC)
    }

    /// Who signs and who is trusted at `now`; adds an authority when it is time for one, and removes those that nobody
    /// needs any more.
    pub(super) fn choose(&self, now: u64, ca: &Ca) -> Result<Chosen, Fatal> {
        let is_due = |newest: u64| now >= newest.saturating_add(ca.authority_life.as_secs() / 2);
        let mut ids = self.ids()?;
        if ids.last().is_none_or(|newest| is_due(*newest)) {
            self.add(now, ca.authority_life)?;
            ids = self.ids()?;
        }
        let (signer, trusted) = roles(&ids, now, ca);
        let mut chosen = Chosen {
            signer: self.read(signer)?,
            trusted: Vec::new(),
        };
        for &id in &ids {
            if trusted.contains(&id) {
                let authority = self.read(id)?;
                chosen
                    .trusted
                    .push((id, authority.certificate().to_owned()));
            } else {
                fs::remove_dir_all(self.0.join(id.to_string()))?;
            }
        }
        Ok(chosen)
    }

    /// The oldest first.
    fn ids(&self) -> Result<Vec<u64>, Fatal> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            // What a kill has left unfinished is no number.
            ids.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    fn read(&self, id: u64) -> Result<Authority, Fatal> {
        let directory = self.0.join(id.to_string());
        let text = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|error| Fatal::from(error).context(path.display()))
        };
        let issued = Issued {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
        };
        Authority::read(id, &issued).map_err(|error| error.context(directory.display()))
    }
}

/// Of authorities, the oldest first: the one that signs at `now`, and all that are trusted.
///
/// # Panics
/// Without any authority.
fn roles(ids: &[u64], now: u64, ca: &Ca) -> (u64, Vec<u64>) {
    let (trust_first, life) = (ca.trust_first.as_secs().max(1), ca.life.as_secs());
    // The first one has nobody before it who could sign meanwhile.
    let signs_from = |index: usize| match index {
        0 => 0,
        _ => ids[index].saturating_add(trust_first),
    };
    let signer = (0..ids.len())
        .rev()
        .find(|&index| signs_from(index) <= now)
        .unwrap_or(0);
    let is_needed = |&index: &usize| {
        // Its last certificate was signed when the next one began to sign; a look may come late.
        let ended = |next: usize| signs_from(next).saturating_add(2 * life) < now;
        index >= signer || !ended(index + 1)
    };
    let trusted = (0..ids.len()).filter(is_needed).map(|index| ids[index]);
    (ids[signer], trusted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Ca {
        Ca {
            certificates: PathBuf::new(),
            state: PathBuf::new(),
            life: Duration::from_secs(100),
            authority_life: Duration::from_secs(10_000),
            trust_first: Duration::from_secs(10),
            rotate_authority: false,
            once: false,
            check: false,
        }
    }

    #[test]
    fn a_new_authority_is_trusted_before_it_signs_and_the_old_one_after_it() {
        let ca = settings();
        let roles = |now| roles(&[1_000, 5_000], now, &ca);
        assert_eq!(roles(5_000), (1_000, vec![1_000, 5_000]));
        assert_eq!(roles(5_009), (1_000, vec![1_000, 5_000]));
        assert_eq!(roles(5_010), (5_000, vec![1_000, 5_000]));
        // What the old one has signed last ends at 5,110; twice that is waited for.
        assert_eq!(roles(5_210), (5_000, vec![1_000, 5_000]));
        assert_eq!(roles(5_211), (5_000, vec![5_000]));
    }

    #[test]
    fn two_new_ones_at_once_take_over_one_after_the_other() {
        let ca = settings();
        let roles = |now| roles(&[1_000, 5_000, 5_005], now, &ca);
        assert_eq!(roles(5_009).0, 1_000);
        assert_eq!(roles(5_012).0, 5_000);
        assert_eq!(roles(5_015), (5_005, vec![1_000, 5_000, 5_005]));
    }

    #[test]
    fn the_first_one_signs_at_once() {
        assert_eq!(roles(&[1_000], 1_000, &settings()), (1_000, vec![1_000]));
    }
}
