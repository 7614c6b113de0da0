//! The CPU that a marketplace of this machine takes, as the kernel counts it: its process, and its private PostgreSQL. A Kafka in
//! memory is in the first of them. Where there is no `/proc` there are no figures.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// `USER_HZ`: ticks of the kernel's accounts in a second, the same on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where the postmaster writes its process id, in the data directory.
const POSTMASTER: &str = "postgres/data/postmaster.pid";

/// The processes of one marketplace.
pub(crate) struct Cpu {
    process: u32,
    postmaster: Option<u32>,
    before: Taken,
}

/// Ticks since they were started.
#[derive(Clone, Copy, Default)]
struct Taken {
    process: u64,
    database: u64,
}

impl Cpu {
    /// Of the marketplace that says this of itself, from now on.
    pub(crate) fn of(running: &Value, data: &Path) -> Option<Self> {
        let process = u32::try_from(running["pid"].as_u64()?).ok()?;
        let text = fs::read_to_string(data.join(POSTMASTER)).unwrap_or_default();
        let postmaster = text.lines().next().and_then(|pid| pid.trim().parse().ok());
        let mut cpu = Self {
            process,
            postmaster,
            before: Taken::default(),
        };
        cpu.before = cpu.taken()?;
        Some(cpu)
    }

    /// What each of so many orders took since then, in milliseconds.
    pub(crate) fn of_each(&self, orders: u64) -> Option<Value> {
        let now = self.taken().filter(|_| orders > 0)?;
        let ms = |now: u64, before: u64| {
            let seconds = now.saturating_sub(before) as f64 / TICKS_PER_SECOND;
            seconds * 1e3 / orders as f64
        };
        Some(json!({
            "process_ms": ms(now.process, self.before.process),
            "database_ms": self.postmaster.map(|_| ms(now.database, self.before.database)),
        }))
    }

    fn taken(&self) -> Option<Taken> {
        let own = Account::of(self.process)?;
        let database = self.postmaster.map_or(0, |postmaster| {
            // Backends that have ended are in the account of the one that has waited for them.
            let ended = Account::of(postmaster).map_or(0, |account| account.own + account.ended);
            let running = fs::read_dir("/proc").into_iter().flatten().flatten();
            let running = running
                .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
                .filter_map(Account::of)
                .filter(|account| account.parent == postmaster)
                .map(|account| account.own);
            ended + running.sum::<u64>()
        });
        Some(Taken {
            process: own.own,
            database,
        })
    }
}

/// One process, as `/proc/<pid>/stat` shows it (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Account {
    parent: u32,
    /// Ticks of its own.
    own: u64,
    /// Those of its children that have ended.
    ended: u64,
}

impl Account {
    fn of(process: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn read(stat: &str) -> Option<Self> {
        // A program's name may hold anything, even a parenthesis: what counts is behind the last one.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            ended: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_mislead() {
        let stat = "42 (post) gres) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 5 3 20 0 1 0 999 1 2 3";
        let account = Account {
            parent: 7,
            own: 42,
            ended: 8,
        };
        assert_eq!(Account::read(stat), Some(account));
        for broken in ["", "42 (x)", "42 (x) S 7 42"] {
            assert_eq!(Account::read(broken), None, "{broken}");
        }
    }
}
