//! Removes variables from the environment that were set for other programs, but that our libraries would read.
//!
//! sqlx completes a database URL from libpq's variables, and OpenTelemetry's SDK takes its sampler, limits and headers
//! from `OTEL_*`. A developer often has them set for other programs. Each would have to be overridden where it is read,
//! and for some that is impossible: sqlx's options cannot undo `PGOPTIONS` or `PGSSLCERT`. So they are removed from the
//! process.
//!
//! Removing a variable of a running process is `unsafe` (another thread may read it at the same moment), so the program
//! restarts itself without them: `exec` keeps the process id, the open files and the arguments. No work is lost, since
//! [`parse`](super::parse) is the first line of every `main`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::Command;

/// The prefixes of such variables.
const FOREIGN: [&str; 2] = ["PG", "OTEL_"];

/// Restarts the program if such variables are set; returns if there are none.
///
/// # Errors
/// One line, if the restart fails.
pub(super) fn clean(declared: &Command) -> Result<(), String> {
    let foreign = foreign(declared, std::env::vars_os().map(|(name, _)| name));
    if foreign.is_empty() {
        return Ok(());
    }
    let error = begin_again(&foreign);
    let names: Vec<_> = foreign.iter().map(|name| name.to_string_lossy()).collect();
    Err(format!(
        "the environment has {}, which would change what this program does, and it cannot start again without: {error}; \
         unset what you do not need",
        names.join(", ")
    ))
}

/// Those of `names` that no argument of the program reads.
fn foreign(declared: &Command, names: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ours = BTreeSet::new();
    collect(declared, &mut ours);
    names
        .filter(|name| {
            let text = name.to_string_lossy();
            FOREIGN.iter().any(|prefix| text.starts_with(prefix)) && !ours.contains(&**name)
        })
        .collect()
}

/// The variables of a command's arguments, and of its subcommands'.
fn collect<'a>(command: &'a Command, variables: &mut BTreeSet<&'a OsStr>) {
    variables.extend(command.get_arguments().filter_map(clap::Arg::get_env));
    for command in command.get_subcommands() {
        collect(command, variables);
    }
}

/// Replaces the process by a fresh start of the program. Returns only if that fails, with the reason.
#[cfg(unix)]
fn begin_again(without: &[OsString]) -> std::io::Error {
    use std::os::unix::process::CommandExt;

    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    for name in without {
        command.env_remove(name);
    }
    command.exec()
}

#[cfg(not(unix))]
fn begin_again(_: &[OsString]) -> std::io::Error {
    std::io::ErrorKind::Unsupported.into()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn what_a_program_declares_is_its_own() {
        let declared = Command::new("x")
            .arg(Arg::new("endpoint").env("OTEL_EXPORTER_OTLP_ENDPOINT"))
            .subcommand(Command::new("y").arg(Arg::new("pages").env("PGPAGES")));
        let names = [
            "PATH",
            "PGSSLMODE",
            "PGPAGES",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "POSTGRES",
            "HOTEL_X",
        ];
        assert_eq!(
            foreign(&declared, names.iter().map(OsString::from)),
            ["PGSSLMODE", "OTEL_EXPORTER_OTLP_HEADERS"]
        );
    }
}
