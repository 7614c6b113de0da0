//! What an authority's directory is called.

use std::fmt;
use std::time::Duration;

use super::authority::{CLOCK_SKEW, Life};

/// What a directory's name ends with until all of it is there.
const UNFINISHED: &str = ".new";

/// An authority on disk. Its directory says when it was made and when it ends, so that both are known without reading a
/// certificate, and settings that were changed since do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    /// When it was made, in seconds since 1970; what it is called in its certificates.
    pub(super) id: u64,
    /// When it ends.
    pub(super) until: u64,
}

impl Kept {
    pub(super) fn starting(now: u64, life: Duration) -> Self {
        Self {
            id: now,
            until: Life::starting(now, life).until,
        }
    }

    /// The authority whose directory has this name; none if it is no such directory.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (id, until) = name.split_once('-')?;
        Some(Self {
            id: id.parse().ok()?,
            until: until.parse().ok()?,
        })
    }

    /// What it is called while it is written by the process with this number.
    pub(super) fn unfinished(self, process: u32) -> String {
        format!("{self}.{process}{UNFINISHED}")
    }

    /// The authority that somebody has begun to write under this name.
    pub(super) fn begun(name: &str) -> Option<Self> {
        let (kept, process) = name.strip_suffix(UNFINISHED)?.split_once('.')?;
        process.parse::<u32>().ok()?;
        Self::named(kept)
    }

    /// Whether peers accept it already, which a clock that was set back can delay.
    pub(super) fn has_begun(self, now: u64) -> bool {
        self.id.saturating_sub(CLOCK_SKEW.as_secs()) <= now
    }

    pub(super) fn has_ended(self, now: u64) -> bool {
        self.until <= now
    }

    /// Whether it is time for another one.
    pub(super) fn is_half_over(self, now: u64) -> bool {
        now >= self
            .id
            .saturating_add(self.until.saturating_sub(self.id) / 2)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let kept = Kept::starting(1_000, Duration::from_secs(500));
        assert_eq!(kept.to_string(), "1000-1500");
        assert_eq!(Kept::named("1000-1500"), Some(kept));
        assert_eq!(Kept::begun(&kept.unfinished(7)), Some(kept));
        assert_eq!(Kept::named(&kept.unfinished(7)), None);
    }

    #[test]
    fn what_somebody_else_has_put_there_is_none() {
        for name in [
            "1000",
            "1000-",
            "lock",
            "a-b",
            "1000-1500.new",
            ".7.new",
            "1000-1500.x.new",
        ] {
            assert_eq!(Kept::named(name), None, "{name}");
            assert_eq!(Kept::begun(name), None, "{name}");
        }
    }
}
