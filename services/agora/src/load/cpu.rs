//! The CPU time of a marketplace on this machine, from the kernel's accounts: its own processes, PostgreSQL, and brokers. Without
//! `/proc` there are no figures.
//!
//! If `agora up` has started it, its processes are known; an in-memory Kafka is part of the shop's process. If only its address
//! is known, as with containers, its processes are found by name, so other processes with these names are counted as well.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// `USER_HZ`: ticks of the kernel's accounts in a second, the same on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where the postmaster writes its process id, in the data directory.
const POSTMASTER: &str = "postgres/data/postmaster.pid";
/// The programs of a shop: each service by itself, or all of them in one.
const SHOP: [&str; 7] = [
    "agora",
    "gateway",
    "users",
    "orders",
    "products",
    "notifications",
    "observatory",
];
const DATABASE: &str = "postgres";
/// RabbitMQ runs in Erlang's virtual machine, and Kafka in Java's; other programs do, too.
const RABBITMQ: &str = "beam.smp";
const JAVA: &str = "java";
const KAFKA: &str = "kafka.Kafka";

/// The CPU of one marketplace.
pub(crate) struct Cpu {
    whose: Whose,
    before: Taken,
}

/// How its processes are found.
enum Whose {
    Started {
        process: u32,
        postmaster: Option<u32>,
    },
    Named,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Shop,
    Database,
    Broker,
}

/// Ticks since the start; `None` for roles without a process, or in the shop's process.
#[derive(Clone, Copy, Default)]
struct Taken {
    shop: u64,
    database: Option<u64>,
    broker: Option<u64>,
}

impl Cpu {
    /// Counts the marketplace with this `endpoints.json`, from now on.
    pub(crate) fn of(running: &Value, data: &Path) -> Option<Self> {
        let process = u32::try_from(running["pid"].as_u64()?).ok()?;
        let text = fs::read_to_string(data.join(POSTMASTER)).unwrap_or_default();
        let postmaster = text.lines().next();
        let postmaster = postmaster.and_then(|pid| pid.trim().parse::<u32>().ok());
        // A server that was killed leaves its file; since then the marketplace may run on one that is not its own.
        let is_server = |account: Account| account.name == DATABASE;
        let postmaster = postmaster.filter(|pid| Account::of(*pid).is_some_and(is_server));
        Self::from_now(Whose::Started {
            process,
            postmaster,
        })
    }

    /// Counts the processes on this machine with the names of a marketplace's, from now on.
    pub(crate) fn by_name() -> Option<Self> {
        Self::from_now(Whose::Named)
    }

    fn from_now(whose: Whose) -> Option<Self> {
        let before = whose.taken()?;
        Some(Self { whose, before })
    }

    /// The CPU of each of this many orders since then, in milliseconds.
    pub(crate) fn of_each(&self, orders: u64) -> Option<Value> {
        let now = self.whose.taken().filter(|_| orders > 0)?;
        let ms = |now: u64, before: u64| {
            let seconds = now.saturating_sub(before) as f64 / TICKS_PER_SECOND;
            seconds * 1e3 / orders as f64
        };
        let if_there = |now: Option<u64>, before: Option<u64>| Some(ms(now?, before?));
        Some(json!({
            "process_ms": ms(now.shop, self.before.shop),
            "database_ms": if_there(now.database, self.before.database),
            "broker_ms": if_there(now.broker, self.before.broker),
        }))
    }
}

impl Whose {
    fn taken(&self) -> Option<Taken> {
        match self {
            Self::Started {
                process,
                postmaster,
            } => Some(Taken {
                shop: Account::of(*process)?.own,
                database: postmaster.map(database),
                broker: None,
            }),
            Self::Named => {
                let all = all();
                let of = |role| sum(&all, role);
                Some(Taken {
                    shop: of(Role::Shop)?,
                    database: of(Role::Database),
                    broker: of(Role::Broker),
                })
            }
        }
    }
}

/// The ticks of the server with this postmaster.
fn database(postmaster: u32) -> u64 {
    // Backends that have ended are in the postmaster's account of its children.
    let ended = Account::of(postmaster).map_or(0, |account| account.own + account.ended);
    let running = processes()
        .filter_map(Account::of)
        .filter(|account| account.parent == postmaster)
        .map(|account| account.own);
    ended + running.sum::<u64>()
}

/// All processes with a role, except this one.
fn all() -> Vec<(u32, Role, Account)> {
    processes()
        .filter(|process| *process != std::process::id())
        .filter_map(|process| {
            let account = Account::of(process)?;
            let command = || fs::read_to_string(format!("/proc/{process}/cmdline"));
            let role = role(&account.name, || command().unwrap_or_default())?;
            Some((process, role, account))
        })
        .collect()
}

/// The role of a process, by its name or, if that is ambiguous, by its command line.
fn role(name: &str, command: impl FnOnce() -> String) -> Option<Role> {
    match name {
        DATABASE => Some(Role::Database),
        RABBITMQ => Some(Role::Broker),
        JAVA => command().contains(KAFKA).then_some(Role::Broker),
        name => SHOP.contains(&name).then_some(Role::Shop),
    }
}

/// The ticks of all processes with this role; `None` if there are none.
fn sum(all: &[(u32, Role, Account)], role: Role) -> Option<u64> {
    let these = || all.iter().filter(move |(_, its, _)| *its == role);
    let processes: HashSet<u32> = these().map(|(process, ..)| *process).collect();
    let ticks = these().map(|(_, _, account)| {
        // Children that have ended are in their parent's account, so only the first process of a role counts its own. A parent of
        // another role does not: a container's first process may have waited for anything.
        let is_first = !processes.contains(&account.parent);
        account.own + if is_first { account.ended } else { 0 }
    });
    (!processes.is_empty()).then(|| ticks.sum())
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// One process, as `/proc/<pid>/stat` shows it (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Account {
    name: String,
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
        // A program's name may contain a parenthesis, so the fields begin after the last one.
        let (start, fields) = stat.rsplit_once(") ")?;
        let (_, name) = start.split_once('(')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
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
            name: "post) gres".to_owned(),
            parent: 7,
            own: 42,
            ended: 8,
        };
        assert_eq!(Account::read(stat), Some(account));
        for broken in ["", "42 (x)", "42 (x) S 7 42"] {
            assert_eq!(Account::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn processes_are_for_what_their_names_say() {
        let with = |command: &'static str| move || command.to_owned();
        for (name, command, wanted) in [
            ("orders", "", Some(Role::Shop)),
            ("agora", "", Some(Role::Shop)),
            ("postgres", "", Some(Role::Database)),
            ("beam.smp", "", Some(Role::Broker)),
            (
                "java",
                "java\0-Xmx1G\0kafka.Kafka\0server.properties",
                Some(Role::Broker),
            ),
            ("java", "java\0-jar\0editor.jar", None),
            ("orders-of-others", "", None),
        ] {
            assert_eq!(role(name, with(command)), wanted, "{name} {command}");
        }
    }

    #[test]
    fn the_file_of_a_killed_server_counts_nobody() {
        let data = tempfile::tempdir().expect("a directory");
        let file = data.path().join(POSTMASTER);
        fs::create_dir_all(file.parent().expect("its directory")).expect("a directory");
        // This process has the number now.
        let pid = std::process::id();
        fs::write(&file, format!("{pid}\n")).expect("a file");
        let cpu = Cpu::of(&json!({ "pid": pid }), data.path());
        let each = cpu.and_then(|cpu| cpu.of_each(1));
        assert!(each.is_none_or(|each| each["database_ms"].is_null()));
    }

    /// A postmaster has waited for backends; a backend that has children of its own is in nobody's sum twice.
    #[test]
    fn what_has_ended_counts_once() {
        let account = |parent, own, ended| Account {
            name: String::new(),
            parent,
            own,
            ended,
        };
        let all = [
            (10, Role::Database, account(1, 5, 100)),
            (11, Role::Database, account(10, 20, 3)),
            (12, Role::Shop, account(1, 7, 0)),
        ];
        assert_eq!(sum(&all, Role::Database), Some(125));
        assert_eq!(sum(&all, Role::Shop), Some(7));
        assert_eq!(sum(&all, Role::Broker), None);
    }
}
