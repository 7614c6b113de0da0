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
//!
//! The while begins when every service's directory names the new one, not when it was made: whoever writes them may have been away, or
//! could not write one of them. But a directory that is never written keeps nobody with an authority that ends. Whoever is made when the
//! one before it is about to end is trusted for that while, too.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Fatal;

use super::args::Ca;
use super::authority::{Authority, Issued, Life};
use super::files::{
    PUBLIC, SECRET, ensure_directory, make_directory, open_lock, sync_directory, write_new,
};
use super::kept::Kept;

/// Held by the process that keeps the certificates fresh.
const LOCK: &str = "lock";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
/// What the name of an empty file in an authority's directory begins with; behind it is since when all services are told to trust it, in
/// seconds since 1970.
const TRUSTED_SINCE: &str = "trusted-since-";
/// How every certificate in PEM ends.
const CERTIFICATE_END: &str = "-----END CERTIFICATE-----";
/// An unfinished directory that is older has nobody who writes it any more: that takes milliseconds.
const UNFINISHED_MAX: Duration = Duration::from_secs(60);

/// The directory of all authorities.
#[derive(Debug)]
pub struct Authorities(PathBuf);

/// Who signs at a moment, and who is trusted.
pub(super) struct Chosen {
    pub(super) signer: Authority,
    /// Their certificates, the oldest first, by the times when they were made.
    pub(super) trusted: Vec<(u64, String)>,
    /// Those of them that not all services were told to trust until now.
    pub(super) new: Vec<Kept>,
    /// What could not be done, and keeps nobody from signing.
    pub(super) trouble: Option<Fatal>,
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

    /// Until this file is closed nobody else keeps the certificates fresh: two would remove each other's. The system closes that of
    /// a process that is killed.
    pub(super) fn hold(&self) -> Result<File, Fatal> {
        let path = self.0.join(LOCK);
        let failed = |error: std::io::Error| Fatal::from(error).context(path.display());
        let file = open_lock(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Fatal::new(format!(
                "another process keeps certificates fresh with {}",
                self.0.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Removes what processes that were killed have left unfinished.
    ///
    /// # Errors
    /// When it cannot be read or removed.
    pub fn remove_unfinished(&self, now: u64) -> Result<(), Fatal> {
        let names = self.directories()?;
        let mut left = names.iter().filter(|name| {
            let begun = Kept::begun(name);
            begun.is_some_and(|begun| now.abs_diff(begun.id) > UNFINISHED_MAX.as_secs())
        });
        left.try_for_each(|name| self.remove(name))
    }

    /// Adds a new one, called after `now`. It is there wholly or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or there is one of this second.
    pub fn add(&self, now: u64, life: Duration) -> Result<(), Fatal> {
        self.make(now, life)
            .map(|_| ())
            .map_err(|error| error.context("adding an authority"))
    }

    fn make(&self, now: u64, life: Duration) -> Result<Kept, Fatal> {
        if self.kept()?.iter().any(|kept| kept.id == now) {
            return Err(Fatal::new("one was added in this second"));
        }
        let (_, issued) = Authority::make(now, Life::starting(now, life))?;
        let kept = Kept::starting(now, life);
        // Of this process only: another one may be adding as well.
        let unfinished = self.0.join(kept.unfinished(std::process::id()));
        let path = self.path(kept);
        let written = write(&unfinished, &issued)
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| sync_directory(&self.0));
        if let Err(error) = written {
            // It is tried again, and a full disk has no room for a part of each try.
            let _ = fs::remove_dir_all(&unfinished);
            return Err(Fatal::from(error).context(path.display()));
        }
        Ok(kept)
    }

    /// Who signs and who is trusted at `now`; adds an authority when it is time for one, and removes those that nobody
    /// needs any more.
    pub(super) fn choose(&self, now: u64, ca: &Ca) -> Result<Chosen, Fatal> {
        let all = self.kept()?;
        let mut alive = all.clone();
        // Nobody accepts what it has signed, so it takes no part in handing over.
        alive.retain(|kept| !kept.has_ended(now));
        let mut trouble = None;
        let newest = alive.iter().rfind(|kept| kept.has_begun(now)).copied();
        if newest.is_none_or(|newest| newest.is_half_over(now)) {
            match self.make(now, ca.authority_life) {
                Ok(made) => alive.push(made),
                Err(error) if newest.is_none() => return Err(error),
                // There is half a life left to try again.
                Err(error) => trouble = Some(error),
            }
            alive.sort_unstable();
        }
        let since = alive.iter().map(|&kept| self.trusted_since(kept));
        let since = since.collect::<Result<Vec<_>, Fatal>>()?;
        let alive: Vec<_> = alive.into_iter().zip(since).collect();
        let (signer, trusted) = roles(&alive, now, ca);
        let mut chosen = Chosen {
            signer: self.read(signer)?,
            trusted: Vec::new(),
            new: Vec::new(),
            trouble,
        };
        for &(kept, since) in &trusted {
            let certificate = self.read(kept)?.certificate().to_owned();
            chosen.trusted.push((kept.id, certificate));
            if since.is_none() {
                chosen.new.push(kept);
            }
        }
        let is_trusted = |old: &Kept| trusted.iter().any(|(kept, _)| kept == old);
        for old in all.iter().filter(|old| !is_trusted(old)) {
            if let Err(error) = self.remove(&old.to_string()) {
                chosen.trouble.get_or_insert(error);
            }
        }
        Ok(chosen)
    }

    /// Notes that from `now` on every service's directory names these.
    pub(super) fn note_trusted(&self, new: &[Kept], now: u64) -> Result<(), Fatal> {
        for &kept in new {
            let path = self.path(kept).join(format!("{TRUSTED_SINCE}{now}"));
            let written =
                write_new(&path, "", PUBLIC).and_then(|()| sync_directory(&self.path(kept)));
            written.map_err(|error| Fatal::from(error).context(path.display()))?;
        }
        Ok(())
    }

    /// Since when every service's directory names it; none if not all do.
    fn trusted_since(&self, kept: Kept) -> Result<Option<u64>, Fatal> {
        let path = self.path(kept);
        let entries =
            fs::read_dir(&path).map_err(|error| Fatal::from(error).context(path.display()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names
            .filter_map(|name| name.strip_prefix(TRUSTED_SINCE)?.parse().ok())
            .min())
    }

    /// The oldest first.
    fn kept(&self) -> Result<Vec<Kept>, Fatal> {
        let names = self.directories()?;
        // What a kill has left unfinished has another name.
        let mut kept: Vec<Kept> = names.iter().filter_map(|name| Kept::named(name)).collect();
        kept.sort_unstable();
        Ok(kept)
    }

    /// The names of all directories in this one.
    fn directories(&self) -> Result<Vec<String>, Fatal> {
        let names = fs::read_dir(&self.0).and_then(|entries| {
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        });
        names.map_err(|error| Fatal::from(error).context(self.0.display()))
    }

    fn remove(&self, name: &str) -> Result<(), Fatal> {
        let path = self.0.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Fatal::from(error).context(format!("removing {}", path.display())))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, kept: Kept) -> Result<Authority, Fatal> {
        let directory = self.path(kept);
        let text = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|error| Fatal::from(error).context(path.display()))
        };
        let issued = Issued {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
        };
        let authority = if issued.certificate.trim_end().ends_with(CERTIFICATE_END) {
            Authority::read(kept.id, &issued)
        } else {
            // Every sidecar would refuse to trust it.
            Err(Fatal::new(format!("{CERTIFICATE} is no certificate")))
        };
        authority.map_err(|error| error.context(directory.display()))
    }

    fn path(&self, kept: Kept) -> PathBuf {
        self.0.join(kept.to_string())
    }
}

fn write(directory: &Path, issued: &Issued) -> std::io::Result<()> {
    make_directory(directory)?;
    write_new(&directory.join(KEY), &issued.key, SECRET)?;
    write_new(&directory.join(CERTIFICATE), &issued.certificate, PUBLIC)?;
    sync_directory(directory)
}

/// An authority, and since when all services are told to trust it, if they all are.
type Told = (Kept, Option<u64>);

/// Of authorities, the oldest first: the one that signs at `now`, and all that are trusted.
///
/// # Panics
/// Without any authority.
fn roles(kept: &[Told], now: u64, ca: &Ca) -> (Kept, Vec<Told>) {
    let (trust_first, life) = (ca.trust_first.as_secs().max(1), ca.life.as_secs());
    let signs_from = |index: usize| {
        // The first one has nobody before it who could sign meanwhile.
        let Some(before) = index.checked_sub(1) else {
            return 0;
        };
        // What the one before it signs has to end before that one does.
        let latest = kept[before].0.until.saturating_sub(2 * life);
        let (new, since) = kept[index];
        let told = since.map(|since| since.saturating_add(trust_first));
        // That may be over when it is made, and with a clock that was ahead it is told of before it has begun.
        let earliest = new.id.saturating_add(trust_first);
        told.map_or(latest, |told| told.min(latest)).max(earliest)
    };
    let signer = (0..kept.len())
        .rev()
        .find(|&index| signs_from(index) <= now)
        .unwrap_or(0);
    let is_needed = |&index: &usize| {
        // Its last certificate was signed when the next one began to sign; a look may come late.
        let ended = |next: usize| signs_from(next).saturating_add(2 * life) < now;
        index >= signer || !ended(index + 1)
    };
    let trusted = (0..kept.len()).filter(is_needed).map(|index| kept[index]);
    (kept[signer].0, trusted.collect())
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

    /// Who signs and who is trusted of those that were made at these times, and were trusted at once.
    fn ids(made: &[u64], now: u64, ca: &Ca) -> (u64, Vec<u64>) {
        let told = |&id: &u64| (Kept::starting(id, ca.authority_life), Some(id));
        let (signer, trusted) = roles(&made.iter().map(told).collect::<Vec<_>>(), now, ca);
        (signer.id, trusted.iter().map(|(kept, _)| kept.id).collect())
    }

    #[test]
    fn a_new_authority_is_trusted_before_it_signs_and_the_old_one_after_it() {
        let ca = settings();
        let roles = |now| ids(&[1_000, 5_000], now, &ca);
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
        let roles = |now| ids(&[1_000, 5_000, 5_005], now, &ca);
        assert_eq!(roles(5_009).0, 1_000);
        assert_eq!(roles(5_012).0, 5_000);
        assert_eq!(roles(5_015), (5_005, vec![1_000, 5_000, 5_005]));
    }

    #[test]
    fn one_that_not_all_were_told_of_signs_only_when_the_one_before_it_is_about_to_end() {
        let ca = settings();
        let kept = [(1_000, Some(1_000)), (5_000, None)];
        let kept = kept.map(|(id, since)| (Kept::starting(id, ca.authority_life), since));
        let signer = |now| roles(&kept, now, &ca).0.id;
        assert_eq!(signer(10_799), 1_000);
        // The old one ends at 11,000, and what it has signed before lives for 100 s.
        assert_eq!(signer(10_800), 5_000);
        assert_eq!(roles(&kept, 10_800, &ca).1.len(), 2);
    }

    #[test]
    fn one_that_is_made_late_is_trusted_before_it_signs_too() {
        let ca = settings();
        // The old one ends at 11,000: whoever makes the next one was away for long.
        for since in [None, Some(10_900)] {
            let kept = [(1_000, Some(1_000)), (10_900, since)];
            let kept = kept.map(|(id, since)| (Kept::starting(id, ca.authority_life), since));
            let signer = |now| roles(&kept, now, &ca).0.id;
            assert_eq!(signer(10_909), 1_000, "{since:?}");
            assert_eq!(signer(10_910), 10_900, "{since:?}");
        }
    }

    /// It was made by a clock that was ahead. Nobody accepts it before its time, however long it was told of.
    #[test]
    fn one_that_has_not_begun_does_not_sign() {
        let ca = settings();
        let kept = [(1_000, Some(1_000)), (5_000, Some(2_000))];
        let kept = kept.map(|(id, since)| (Kept::starting(id, ca.authority_life), since));
        let signer = |now| roles(&kept, now, &ca).0.id;
        assert_eq!(signer(2_010), 1_000);
        assert_eq!(signer(5_009), 1_000);
        assert_eq!(signer(5_010), 5_000);
    }

    #[test]
    fn the_first_one_signs_at_once() {
        assert_eq!(ids(&[1_000], 1_000, &settings()), (1_000, vec![1_000]));
    }
}
