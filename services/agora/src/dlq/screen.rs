//! The output: a line for each letter, a whole letter, and progress.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::output;
use chrono::SecondsFormat;
use indicatif::ProgressBar;
use messaging::dead_letters::{DeadLetter, Settled, Swept};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The interval of progress lines without a terminal.
const TELL: Duration = Duration::from_secs(1);
/// The most characters of a reason in a line.
const REASON_MAX_CHARS: usize = 160;

/// All letters as lines.
pub(super) fn table(letters: &[DeadLetter], swept: Swept) -> String {
    let mut text: String = letters.iter().map(line).collect();
    let end = match (letters.len(), swept.more && !swept.cut) {
        (0, _) => "No dead letters.".to_owned(),
        (1, false) => "1 dead letter.".to_owned(),
        (count, false) => format!("{count} dead letters."),
        (count, true) => format!("The first {count} dead letters; --limit shows more."),
    };
    text.push_str(&end);
    if swept.cut {
        text.push_str(rest(swept));
    }
    text.push('\n');
    text
}

/// The note about letters that were not reached.
pub(super) fn rest(swept: Swept) -> &'static str {
    match (swept.cut, swept.more) {
        (true, _) => {
            " Not all could be looked at: too many stand before the others. Send some of those again, or drop them, to reach the \
             others."
        }
        (false, true) => " There may be more.",
        (false, false) => "",
    }
}

/// One letter as two lines: what and where, and why.
pub(super) fn line(letter: &DeadLetter) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let parked_at = letter
        .parked_at
        .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let group = letter.group.as_ref();
    let group = group
        .map(|group| format!(" by {group}"))
        .unwrap_or_default();
    let text = format!(
        "{}  {}  {}  {}{group}  {}  tried {}, sent again {}",
        or_dash(&parked_at),
        or_dash(&letter.event_id),
        or_dash(&letter.event_type),
        letter.source,
        letter.id,
        letter.attempts,
        letter.redriven,
    );
    let mut text = printable(&text);
    for reason in std::iter::once(&letter.reason).chain(&letter.reasons_before) {
        let shown: String = reason.chars().take(REASON_MAX_CHARS).collect();
        // Writing to a string does not fail.
        let _ = write!(text, "\n    {}", printable(&shown));
    }
    if let Some(bytes) = letter.body_bytes {
        let at = |name: &str, number: Option<String>| {
            let shown = number.map(|number| format!(", {name} {number}"));
            shown.unwrap_or_default()
        };
        let _ = write!(
            text,
            "\n    its body of {bytes} bytes was too large to be parked; it is in {}{}{}",
            printable(&letter.source),
            at("partition", letter.partition.map(|n| n.to_string())),
            at("offset", letter.offset.map(|n| n.to_string())),
        );
    }
    text.push('\n');
    text
}

/// On one line, and without what a terminal would obey: anybody may have written the headers.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// A letter with its headers and its body, if that is there: as text if it is text, else in base64.
pub(super) fn whole(letter: &DeadLetter) -> Value {
    let mut whole = json!(letter);
    whole["headers"] = json!(letter.message.headers);
    if letter.body_bytes.is_some() {
        return whole;
    }
    match std::str::from_utf8(&letter.message.payload) {
        Ok(text) => whole["payload"] = json!(text),
        Err(_) => whole["payload_base64"] = json!(STANDARD.encode(&letter.message.payload)),
    }
    whole
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    Ok(output::print(text)?)
}

pub(super) fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

pub(super) fn print_line(value: &Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

/// Shows progress: a bar on a terminal, otherwise a line a second on standard error.
pub(super) struct Meter {
    bar: Option<ProgressBar>,
    what: &'static str,
    settled: u64,
    told: Instant,
}

impl Meter {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            bar,
            what,
            settled: 0,
            told: Instant::now(),
        }
    }

    pub(super) fn tell(&mut self, settled: Option<Settled>) {
        if settled != Some(Settled::Done) {
            return;
        }
        self.settled += 1;
        let text = format!("{} {}", self.settled, self.what);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.told.elapsed() >= TELL => {
                // Nobody reads the output; the work goes on.
                let _ = writeln!(std::io::stderr(), "{text}");
                self.told = Instant::now();
            }
            None => {}
        }
    }

    /// Takes the bar away. A failure says how many letters were settled before it: they stay settled.
    pub(super) fn end(&self, swept: Result<Swept, Failure>) -> Result<Swept, Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match swept {
            Err(failure) if self.settled > 0 => Err(Failure::new(format!(
                "{failure}; {} were {} before",
                self.settled, self.what
            ))),
            swept => swept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_done_before_it() {
        let mut meter = Meter::new("dropped");
        let away = || Err(Failure::new("the disk is full"));
        let message = |meter: &Meter| meter.end(away()).unwrap_err().to_string();
        assert_eq!(message(&meter), "the disk is full");
        for settled in [Some(Settled::Done), Some(Settled::Gone), None] {
            meter.tell(settled);
        }
        assert_eq!(message(&meter), "the disk is full; 1 were dropped before");
    }

    #[test]
    fn a_terminal_gets_no_commands() {
        assert_eq!(printable("t.v1\u{1b}[2J\nx"), "t.v1 [2J x");
    }

    #[test]
    fn letters_that_were_not_reached_are_told() {
        let (ended, cut) = (
            Swept {
                more: true,
                ..Swept::default()
            },
            Swept {
                more: true,
                cut: true,
                ..Swept::default()
            },
        );
        assert_eq!(rest(Swept::default()), "");
        assert_eq!(rest(ended), " There may be more.");
        assert!(rest(cut).contains("Not all could be looked at"));
        let none = table(&[], cut);
        assert!(none.starts_with("No dead letters. Not all"), "{none}");
        assert_eq!(table(&[], Swept::default()), "No dead letters.\n");
    }
}
