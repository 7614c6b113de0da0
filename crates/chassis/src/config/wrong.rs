//! Turns clap's errors of several lines into one line.

use std::any::TypeId;
use std::error::Error as _;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use url::Url;

use super::values::{DURATION_ALLOWED, URL_ALLOWED};

/// The line for an error in the command line or the environment.
pub(super) fn one_line(error: &clap::Error, command: &Command) -> String {
    let name = command.get_name();
    let line = match error.kind() {
        ErrorKind::MissingRequiredArgument => missing(error, command),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8 => {
            bad_value(error, command)
        }
        ErrorKind::UnknownArgument => text(error, ContextKind::InvalidArg)
            .map(|flag| format!("there is no {flag}: {name} --help lists what there is")),
        _ => None,
    };
    crate::fatal::one_line(&line.unwrap_or_else(|| first_line(error, name)))
}

/// clap's own first line, for the rarer kinds (a flag given twice, a missing subcommand).
fn first_line(error: &clap::Error, name: &str) -> String {
    let rendered = error.render().to_string();
    let line = rendered
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("the command line cannot be read");
    format!(
        "{}: see {name} --help",
        line.trim_start_matches("error: ")
            .trim_end_matches(['.', ':'])
    )
}

fn bad_value(error: &clap::Error, command: &Command) -> Option<String> {
    let arg = find(command, &text(error, ContextKind::InvalidArg)?)?;
    let names = names(&arg);
    let held = text(error, ContextKind::InvalidValue).unwrap_or_default();
    let why = error.source().map(ToString::to_string).unwrap_or_default();
    // The parsers of this crate say what is allowed; those of std and clap only say what they found.
    let allowed = if why.starts_with("it takes") {
        why
    } else {
        allowed(&arg).unwrap_or(why)
    };
    if is_secret(&arg) {
        // A parser's text may quote the secret value.
        let allowed = if held.is_empty() || !allowed.contains(&held) {
            allowed
        } else {
            about(&arg)
        };
        return Some(format!(
            "{names} holds a value (not shown) that cannot be used: {allowed}"
        ));
    }
    if held.is_empty() {
        return Some(format!("{names} is empty: {allowed}"));
    }
    Some(format!("{names} cannot be {held:?}: {allowed}"))
}

fn missing(error: &clap::Error, command: &Command) -> Option<String> {
    let ContextValue::Strings(args) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let lines: Vec<_> = args
        .iter()
        .map(|arg| {
            find(command, arg).map_or_else(
                || arg.clone(),
                |arg| format!("{} ({})", names(&arg), about(&arg)),
            )
        })
        .collect();
    let verb = if lines.len() == 1 { "is" } else { "are" };
    Some(format!(
        "{} {verb} missing and {} no default",
        lines.join(", "),
        if lines.len() == 1 { "has" } else { "have" }
    ))
}

/// `HTTP_PORT (or --http-port)`, since the invalid value can come from either.
fn names(arg: &Arg) -> String {
    let flag = arg
        .get_long()
        .map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
    match arg.get_env() {
        Some(env) => format!("{} (or {flag})", env.to_string_lossy()),
        None => flag,
    }
}

fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// The first sentence of an argument's help.
fn about(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

/// What an argument accepts, where its type describes that better than its parser's error.
fn allowed(arg: &Arg) -> Option<String> {
    let parser = arg.get_value_parser();
    if let Some(values) = parser.possible_values() {
        let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        return Some(format!("it takes {}", names.join(" or ")));
    }
    let kind = parser.type_id();
    let is = |id: TypeId| kind == id;
    let text = if is(TypeId::of::<u16>()) {
        "a number from 0 to 65535"
    } else if is(TypeId::of::<u32>()) || is(TypeId::of::<u64>()) || is(TypeId::of::<usize>()) {
        return None;
    } else if is(TypeId::of::<Duration>()) {
        DURATION_ALLOWED
    } else if is(TypeId::of::<Url>()) {
        URL_ALLOWED
    } else {
        return None;
    };
    Some(format!("it takes {text}"))
}

/// Finds the argument that clap prints as `--http-port <HTTP_PORT>`.
fn find(command: &Command, printed: &str) -> Option<Arg> {
    let own = command
        .get_arguments()
        .find(|arg| arg.to_string() == printed)
        .cloned();
    own.or_else(|| command.get_subcommands().find_map(|sub| find(sub, printed)))
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
