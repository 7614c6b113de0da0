//! `agora tour`: the tour of the page, in the terminal. It performs each stop, and prints what it observed.
//!
//! | where | what |
//! |---|---|
//! | `guide.rs` | helpers of all stops: a customer, the state, switches |
//! | `guide/mend.rs` | what a stop has broken and not mended yet |
//! | `stops.rs` | stops that only buy and read |
//! | `broken.rs` | stops at which something is unavailable, slow or fails |
//! | `load.rs` | stops with a poison message or an overload |

mod broken;
mod guide;
mod load;
mod stops;

use std::path::PathBuf;

use chassis::Signals;
use chassis::admin::AdminToken;
use chassis::output::print;
use clap::Args;
use serde::Deserialize;

use crate::failure::Failure;
use crate::files;
use guide::Guide;

pub(crate) const AFTER_HELP: &str = "\
It plays on the marketplace that runs in the data directory (`agora up`), as the demo customer; what it breaks it mends,
also where Ctrl-C stops it.

Examples:
  agora tour                 all stops, one after the other: about two minutes
  agora tour --list          what they are
  agora tour kafka stop      two of them

Exit code: 0, 1 if a stop did not happen, 2 if the command line cannot be used.";

/// Plays the tour: what breaks, what holds, and where to read on.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tour {
    /// Stops by name; without any: all of them.
    #[arg(value_name = "STOP")]
    stops: Vec<String>,
    /// Say what the stops are, and do nothing.
    #[arg(long)]
    list: bool,
    /// The data directory of the marketplace that runs [default: that of `agora up`].
    #[arg(long, env = "AGORA_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The token that its admin ports ask for, if it was started with one.
    #[arg(
        long,
        env = "ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    admin_token: Option<AdminToken>,
}

/// A stop, from the file that the page reads as well.
#[derive(Debug, Deserialize)]
struct Stop {
    id: String,
    title: String,
    /// What to press on the page to see the same.
    press: String,
    will: String,
    why: String,
    code: Vec<String>,
    pattern: String,
}

#[derive(Debug, Deserialize)]
struct Stops {
    stops: Vec<Stop>,
}

fn all() -> Result<Vec<Stop>, Failure> {
    let read: Result<Stops, _> = serde_json::from_str(gateway::TOUR);
    let read = read.map_err(|error| Failure::new(format!("the tour cannot be read: {error}")))?;
    Ok(read.stops)
}

/// Plays what was asked for.
pub(crate) async fn run(asked: Tour) -> Result<(), Failure> {
    let stops = asked.wanted(all()?)?;
    if asked.list {
        let lines = stops
            .iter()
            .map(|stop| format!("{:<10} {}\n", stop.id, stop.title));
        return Ok(print(&lines.collect::<String>())?);
    }
    let running = files::running(asked.data_dir.as_deref(), "say where with --data-dir")?;
    let mut guide = Guide::open(&running, asked.admin_token.as_ref()).await?;
    let mut signals = Signals::listen()?;
    let mut missed = Vec::new();
    for (n, stop) in stops.iter().enumerate() {
        print(&format!(
            "{}. {}\n   {}\n   {}\n   By hand: {}\n",
            n + 1,
            stop.title,
            stop.will,
            stop.why,
            stop.press
        ))?;
        match visit(&mut guide, &stop.id, &mut signals).await? {
            Ok(()) => print(&format!(
                "   ✓ It happened. In the code: {}; to read: {}\n\n",
                stop.code.join(", "),
                stop.pattern
            ))?,
            Err(why) => {
                print(&format!("   ✕ It did not happen: {why}\n\n"))?;
                missed.push(stop.id.as_str());
            }
        }
    }
    match missed.as_slice() {
        [] => Ok(()),
        missed => Err(Failure::new(format!(
            "did not happen: {}",
            missed.join(", ")
        ))),
    }
}

/// Performs a stop, and mends what it left broken.
///
/// # Errors
/// If a signal ended it.
async fn visit(
    guide: &mut Guide,
    stop: &str,
    signals: &mut Signals,
) -> Result<Result<(), String>, Failure> {
    let played = tokio::select! {
        played = play(guide, stop) => Ok(played),
        signal = signals.next() => Err(signal),
    };
    if played.is_err() {
        say(
            "Stopped; mending what is broken. Once more ends it at once.",
            None,
        );
    }
    let mended = tokio::select! {
        mended = guide.mend_all() => mended,
        signal = signals.next() => Err(format!("{signal} came before all was mended")),
    };
    match played {
        Ok(played) => Ok(played.and(mended)),
        Err(signal) => {
            let mended = mended.map_or_else(|why| why, |()| "all is mended".to_owned());
            Err(Failure::new(format!("stopped by {signal}; {mended}")))
        }
    }
}

async fn play(guide: &mut Guide, stop: &str) -> Result<(), String> {
    match stop {
        "purchase" => stops::purchase(guide).await,
        "twice" => stops::twice(guide).await,
        "hang" => broken::hang(guide).await,
        "budget" => broken::budget(guide).await,
        "kafka" => broken::kafka(guide).await,
        "stop" => broken::stop(guide).await,
        "mail" => broken::mail(guide).await,
        "race" => stops::race(guide).await,
        "versions" => stops::versions(guide).await,
        "token" => stops::token(guide).await,
        "poison" => load::poison(guide).await,
        "shedding" => load::shedding(guide).await,
        other => Err(format!(
            "nobody has written how {other} is done in a terminal"
        )),
    }
}

impl Tour {
    fn wanted(&self, all: Vec<Stop>) -> Result<Vec<Stop>, Failure> {
        if let Some(unknown) = self
            .stops
            .iter()
            .find(|id| all.iter().all(|stop| stop.id != **id))
        {
            let known: Vec<_> = all.iter().map(|stop| stop.id.as_str()).collect();
            let known = known.join(", ");
            return Err(Failure::configuration(format!(
                "{unknown:?} is no stop: they are {known}"
            )));
        }
        let is_wanted = |stop: &Stop| self.stops.is_empty() || self.stops.contains(&stop.id);
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}

/// Prints a line of a stop, with the trace for `agora trace` if there is one.
fn say(text: &str, trace: Option<&str>) {
    let trace = trace
        .map(|id| format!("  (trace {id})"))
        .unwrap_or_default();
    // If the terminal was closed, the stop is still completed.
    let _ = print(&format!("   · {text}{trace}\n"));
}

/// Checks a condition that a stop promises.
fn must(holds: bool, what: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_of_the_file_can_be_done() {
        let source = include_str!("tour.rs");
        for stop in all().unwrap() {
            let arm = format!("        \"{}\" => ", stop.id);
            assert!(source.contains(&arm), "{} is not in `play`", stop.id);
        }
    }

    #[test]
    fn an_unknown_stop_is_named_with_those_that_there_are() {
        let tour = Tour {
            stops: vec!["moon".to_owned()],
            list: true,
            data_dir: None,
            admin_token: None,
        };
        let failure = tour.wanted(all().unwrap()).unwrap_err().to_string();
        assert!(
            failure.contains("moon") && failure.contains("purchase"),
            "{failure}"
        );
    }
}
