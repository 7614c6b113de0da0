//! The CPU that processes of this machine have used, as the kernel counts it: in hundredths of a second (proc(5)).

use std::fs;

use crate::embedded::Embedded;

/// `USER_HZ`: ticks of the kernel's accounts in a second, the same on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where PostgreSQL writes its process id, in the data directory.
const POSTMASTER: &str = "postgres/data/postmaster.pid";

/// Seconds of CPU that a marketplace has used since it was started.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// By the process of all services, with its Kafka.
    pub process: f64,
    /// By its private PostgreSQL.
    pub database: f64,
}

impl Used {
    /// What it has used until now.
    ///
    /// # Panics
    /// When it does not run, or where the kernel does not tell.
    #[must_use]
    pub fn by(marketplace: &Embedded) -> Self {
        Self {
            process: seconds(marketplace.pid()),
            database: database(marketplace) as f64 / TICKS_PER_SECOND,
        }
    }
}

/// Seconds of CPU that a process has used.
///
/// # Panics
/// When it does not run, or where the kernel does not tell.
#[must_use]
pub fn seconds(pid: u32) -> f64 {
    let account = Account::of(pid).expect("a process's account");
    account.own as f64 / TICKS_PER_SECOND
}

fn database(marketplace: &Embedded) -> u64 {
    let text = fs::read_to_string(marketplace.directory().join(POSTMASTER));
    let text = text.expect("a private PostgreSQL");
    let postmaster = text.lines().next().and_then(|pid| pid.trim().parse().ok());
    let postmaster: u32 = postmaster.expect("a process id");
    // Backends that have ended are in the account of the one that has waited for them.
    let account = Account::of(postmaster).expect("a process's account");
    let running = fs::read_dir("/proc").expect("Linux").flatten();
    let running: u64 = running
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Account::of)
        .filter(|account| account.parent == postmaster)
        .map(|account| account.own)
        .sum();
    account.own + account.ended + running
}

/// One process, in ticks.
struct Account {
    parent: u32,
    own: u64,
    /// Of its children that have ended.
    ended: u64,
}

impl Account {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
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
