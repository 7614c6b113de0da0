//! Configuration from flags and environment, the same in every service; an error is reported in one line.
//!
//! A service has one `Config` struct (clap's derive) that flattens the groups of this module and
//! adds its own fields. [`parse`] is what `main` calls.

mod environment;
mod groups;
mod values;
mod wrong;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::Command;

use crate::healthcheck;
use crate::output::{self, PrintError};

pub use groups::{Database, Server, Service, Streams};
pub use values::{duration, positive_duration, postgres_url, url};

/// The exit code for an invalid configuration, as in `sysexits` and clap.
pub const EXIT_CONFIG: i32 = 2;

/// Parses the process' flags and environment. Call it in the first line of `main`: if the environment has variables
/// that only libraries would read (`PG*`, and `OTEL_*` that are no arguments), it restarts the program without them.
///
/// `--help` and `--version` print and exit 0, or as [`output::exit`] says; `healthcheck` asks the running service
/// ([`crate::healthcheck`]), prints its answer in one line, and exits 0 or 1. An error is *one* line on standard error that
/// names the variable and the flag, the invalid value (never for arguments with `hide_env_values`) and what is allowed; the
/// exit code is [`EXIT_CONFIG`], before any port is bound.
pub fn parse<C: clap::Parser>() -> C {
    let read = environment::clean(&C::command())
        .map_err(Stop::Wrong)
        .and_then(|()| read(std::env::args_os().collect(), &[]));
    // RUST_LOG is no argument, but it is configuration all the same.
    match read.and_then(|config| check_filter().map(|()| config)) {
        Ok(config) => config,
        Err(Stop::Print(text)) => output::exit(text.print().map_err(PrintError::from)),
        Err(Stop::Wrong(line)) => {
            report(&line);
            std::process::exit(EXIT_CONFIG)
        }
        Err(Stop::Check(host, port)) => answer_check(healthcheck::check(&host, port)),
    }
}

/// Docker stores the output of a health check, and reserves every exit code but 0 and 1.
fn answer_check(outcome: Result<(), String>) -> ! {
    let (line, code) = match outcome {
        Ok(()) => ("ready\n".to_owned(), 0),
        Err(why) => (format!("not ready: {why}\n"), 1),
    };
    // The exit code is the answer, whether or not somebody reads the line.
    let _ = output::print(&line);
    std::process::exit(code)
}

/// The one place that must write by itself: no log is set up yet.
fn report(line: &str) {
    // If this cannot be printed, the exit code tells it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Parses the given flags (the first item is the program's name) and the process' environment.
///
/// # Errors
/// The single error line of [`parse`]; for `--help` and `--version` their text.
pub fn try_from_args<C: clap::Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<C, String> {
    try_from_args_without(args, &[])
}

/// [`try_from_args`] as if none of these variables was set: for a program that runs services and decides itself what the environment
/// may say to other programs.
///
/// # Errors
/// Those of [`try_from_args`].
pub fn try_from_args_without<C: clap::Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    variables: &[&str],
) -> Result<C, String> {
    read(args.into_iter().map(Into::into).collect(), variables).map_err(|stop| match stop {
        Stop::Print(error) => error.to_string(),
        Stop::Wrong(line) => line,
        Stop::Check(..) => format!("{} is a command and no configuration", healthcheck::NAME),
    })
}

fn check_filter() -> Result<(), Stop> {
    crate::telemetry::check_filter().map_err(|fatal| Stop::Wrong(fatal.to_string()))
}

enum Stop {
    /// The text of `--help` or `--version`.
    Print(clap::Error),
    /// An error in one line.
    Wrong(String),
    /// The health check instead of the service: the host and the admin port to ask.
    Check(String, u16),
}

fn read<C: clap::Parser>(args: Vec<OsString>, without: &[&str]) -> Result<C, Stop> {
    let mut matches = ignore_variables(healthcheck::offer(C::command()), without)
        .try_get_matches_from(args)
        .map_err(stop::<C>)?;
    if let Some((host, port)) = healthcheck::asked_for(&matches) {
        return Err(Stop::Check(host, port));
    }
    C::from_arg_matches_mut(&mut matches).map_err(stop::<C>)
}

/// Converts an error of clap to a text to print or to one line.
fn stop<C: clap::Parser>(error: clap::Error) -> Stop {
    if !error.use_stderr() {
        return Stop::Print(error);
    }
    let mut declared = healthcheck::offer(C::command());
    // Arguments can be printed, and so be compared with those in clap's error, only once they are built.
    declared.build();
    Stop::Wrong(wrong::one_line(&error, &declared))
}

/// No argument reads one of these variables, or one that is empty: `OTEL_EXPORTER_OTLP_ENDPOINT=` means "not set", since compose
/// files and CI cannot unset a variable, they can only leave it empty.
fn ignore_variables(command: Command, without: &[&str]) -> Command {
    command
        .mut_args(|arg| {
            let name = arg.get_env();
            let is_left_out = name
                .and_then(OsStr::to_str)
                .is_some_and(|name| without.contains(&name));
            let is_empty = name
                .and_then(std::env::var_os)
                .is_some_and(|value| value.is_empty());
            if is_left_out || is_empty {
                arg.env(clap::builder::Resettable::<clap::builder::OsStr>::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(|command| ignore_variables(command, without))
}
