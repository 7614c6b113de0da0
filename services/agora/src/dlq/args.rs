//! The arguments of `agora dlq`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use chassis::config::{duration, positive_duration, postgres_url};
use clap::{Args, Subcommand};
use messaging::args::amqp_url;
use messaging::dead_letters::{Filter, Sweep};

use crate::failure::Failure;

pub(crate) const AFTER_HELP: &str = "\
Without --kafka, --amqp or --database it looks at the marketplace that runs in the data directory (`agora up`).

Examples:
  agora dlq list                                       what is parked, and why
  agora dlq show 019b6f0e-5d0c-7a9e-8a51-3f9d2f6c9a11  one letter, with its headers and its body
  agora dlq redrive --all --dry-run                    how many would be sent again
  agora dlq redrive --source order-events --group products --rate 50
  agora dlq drop --reason 'no such product' --older-than 7d --to dropped.jsonl
  KAFKA_USERNAME=operator KAFKA_PASSWORD=… agora dlq list --kafka 127.0.0.1:9092
  agora dlq watch --amqp amqp://user:password@127.0.0.1:5672/agora --queue email.jobs

A letter is sent again to the one group or queue that parked it, under the id of its event. It can be stopped at any time
and begun again. Exit code: 0, 1 if it failed, 2 if the command line cannot be used.";

/// Looks at dead letters, sends them again, drops them.
#[derive(Args, Clone, Debug)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Which engines.
#[derive(Args, Clone)]
#[command(next_help_heading = "Where")]
pub(crate) struct Place {
    /// The data directory of the marketplace that runs [default: that of `agora up`].
    #[arg(long, env = "AGORA_DATA_DIR", value_name = "DIR", global = true)]
    pub(super) data_dir: Option<PathBuf>,
    /// Kafka brokers, host:port, separated by commas; with the account in KAFKA_USERNAME and KAFKA_PASSWORD, if they
    /// ask, and KAFKA_CA and KAFKA_MECHANISM as the services have them.
    #[arg(long, value_name = "BROKERS", global = true)]
    pub(super) kafka: Option<String>,
    /// A RabbitMQ broker. It does not say which queues it has: see --queue.
    #[arg(long, value_name = "URL", hide_env_values = true, value_parser = amqp_url, global = true)]
    pub(super) amqp: Option<String>,
    /// A PostgreSQL database with the queue's tables.
    #[arg(long, value_name = "URL", hide_env_values = true, value_parser = postgres_url, global = true)]
    pub(super) database: Option<String>,
    /// A queue on the broker of --amqp, by its own name; may be repeated [default: those of this shop].
    #[arg(long, value_name = "QUEUE", global = true)]
    pub(super) queue: Vec<String>,
}

// URLs hold passwords.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// List what is parked. Changes nothing.
    List(List),
    /// Show letters whole, as JSON. Changes nothing.
    Show(Show),
    /// Send letters again, to the group or queue that parked them.
    Redrive(Redrive),
    /// Drop letters, after they were written to a file.
    Drop(Drop),
    /// List what is parked, and go on with what is parked from now on.
    Watch(Watch),
}

/// Which letters; all conditions must be fulfilled.
#[derive(Args, Clone, Debug)]
pub(super) struct Meant {
    /// The topic or queue that they were consumed from, or their dead-letter topic or queue.
    #[arg(long, value_name = "NAME", value_parser = condition)]
    source: Option<String>,
    /// The consumer group that parked them.
    #[arg(long, value_name = "GROUP", value_parser = condition)]
    group: Option<String>,
    /// The id of the event, or of the letter as `list` prints it.
    #[arg(long, value_name = "ID", value_parser = condition)]
    id: Option<String>,
    /// The type of the event.
    #[arg(long = "type", value_name = "TYPE", value_parser = condition)]
    event_type: Option<String>,
    /// A part of the reason; upper or lower case makes no difference.
    #[arg(long, value_name = "TEXT", value_parser = condition)]
    reason: Option<String>,
    /// Parked at least this long ago, such as 15m or 7d.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    older_than: Option<Duration>,
    /// Parked at most this long ago.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    newer_than: Option<Duration>,
    /// At most so many letters.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl Meant {
    pub(super) fn sweep(&self, limit: u64, per_second: Option<NonZeroU32>) -> Sweep {
        Sweep {
            filter: self.filter(),
            limit: self.limit.unwrap_or(limit),
            per_second,
            time_max: None,
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            source: self.source.clone(),
            group: self.group.clone(),
            id: self.id.clone(),
            event_type: self.event_type.clone(),
            reason: self.reason.clone(),
            older_than: self.older_than,
            newer_than: self.newer_than,
        }
    }

    fn is_everything(&self) -> bool {
        !self.filter().is_selective() && self.limit.is_none()
    }
}

/// Refuses a blank condition, which is a variable of the shell that nobody set: without it, more letters would be meant.
fn condition(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it takes a text that is not blank".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Letters that `list` and `show` print at most.
const LISTED: u64 = 1_000;

#[derive(Args, Clone, Debug)]
pub(super) struct List {
    #[command(flatten)]
    meant: Meant,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl List {
    pub(super) fn sweep(&self) -> Sweep {
        self.meant.sweep(LISTED, None)
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Show {
    /// The id of the event, or of the letter as `list` prints it.
    pub(super) id: String,
}

impl Show {
    pub(super) fn sweep(&self) -> Sweep {
        let filter = Filter {
            id: Some(self.id.clone()),
            ..Filter::default()
        };
        Sweep {
            filter,
            limit: LISTED,
            per_second: None,
            time_max: None,
        }
    }
}

/// How it is done.
#[derive(Args, Clone, Debug)]
pub(super) struct Pace {
    /// Every letter that there is.
    #[arg(long)]
    all: bool,
    /// Only count them.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// At most so many in a second; 0 is as many as it can.
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate: u32,
    /// Print what was done as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Pace {
    pub(super) fn rate(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.rate)
    }
}

/// Requires a filter or `--all`, so that nobody settles all letters by omitting a filter.
fn check(meant: &Meant, pace: &Pace) -> Result<(), Failure> {
    match (meant.is_everything(), pace.all) {
        (true, false) => Err(Failure::configuration(
            "which letters? Say --all, or one of --source, --group, --id, --type, --reason, --older-than, \
             --newer-than, --limit",
        )),
        _ => Ok(()),
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Redrive {
    #[command(flatten)]
    pub(super) meant: Meant,
    #[command(flatten)]
    pub(super) pace: Pace,
}

impl Redrive {
    pub(super) fn check(&self) -> Result<(), Failure> {
        check(&self.meant, &self.pace)
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Drop {
    #[command(flatten)]
    pub(super) meant: Meant,
    #[command(flatten)]
    pub(super) pace: Pace,
    /// The file that keeps them, one line of JSON for each; what is in it stays.
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
}

impl Drop {
    pub(super) fn check(&self) -> Result<(), Failure> {
        check(&self.meant, &self.pace)
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct Watch {
    #[command(flatten)]
    meant: Meant,
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = positive_duration)]
    pub(super) every: Duration,
    /// Print a line of JSON for each.
    #[arg(long)]
    pub(super) json: bool,
}

impl Watch {
    /// Without a limit of its own: what is parked from now on stands behind all that is there.
    pub(super) fn sweep(&self) -> Sweep {
        self.meant.sweep(u64::MAX, None)
    }
}
