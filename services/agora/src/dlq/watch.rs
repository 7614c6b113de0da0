//! `agora dlq watch`: prints each letter once, until it is stopped.

use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use messaging::dead_letters::{Act, DeadLetter, Settled, Sweep};
use serde_json::json;

use super::screen;
use super::stores::Stores;
use crate::failure::Failure;

/// What tells a letter from all others, also from itself: one that was sent again and has failed again has the row that it had.
fn name(letter: &DeadLetter) -> String {
    let parked_at = letter.parked_at.map(|at| at.to_rfc3339());
    format!("{} {}", letter.id, parked_at.unwrap_or_default())
}

/// The letters of the look before, and of this one. Letters that are gone are forgotten: they may come again, and the sets
/// stay as small as the present letters.
#[derive(Default)]
struct Seen {
    before: HashSet<String>,
    now: HashSet<String>,
}

impl Seen {
    /// Notes a letter of this look; whether the look before did not have it.
    fn is_new(&mut self, name: String) -> bool {
        let was_there = self.before.contains(&name);
        self.now.insert(name) && !was_there
    }

    /// Ends a look.
    fn ends(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

/// Prints what is parked, and then what is parked from now on.
///
/// Letters are printed while they are read, and not collected: there is no limit to how many old ones a new one stands behind.
pub(super) async fn follow(
    stores: &Stores,
    sweep: &Sweep,
    every: Duration,
    as_json: bool,
) -> Result<(), Failure> {
    let (mut seen, mut is_cut) = (Seen::default(), false);
    loop {
        let mut printed = Ok(());
        let mut tell = |letter: &DeadLetter, _: Option<Settled>| {
            if seen.is_new(name(letter)) && printed.is_ok() {
                printed = print(letter, as_json);
            }
        };
        let swept = stores.sweep(sweep, Act::Look, &mut tell).await?;
        printed?;
        seen.ends();
        if swept.cut && !is_cut {
            // Nobody reads the errors; the letters that can be looked at are printed all the same.
            let _ = writeln!(std::io::stderr(), "{}", screen::rest(swept).trim());
        }
        is_cut = swept.cut;
        tokio::time::sleep(every).await;
    }
}

fn print(letter: &DeadLetter, as_json: bool) -> Result<(), Failure> {
    if as_json {
        screen::print_line(&json!(letter))
    } else {
        screen::print(&screen::line(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_new_once_and_again_when_it_comes_back() {
        let mut seen = Seen::default();
        let mut is_new = |name: &str| seen.is_new(name.to_owned());
        assert!(is_new("t.a.dlq@0/7") && is_new("t.b.dlq@0/7"));
        seen.ends();
        assert!(!seen.is_new("t.a.dlq@0/7".to_owned()));
        seen.ends();
        assert!(!seen.is_new("t.a.dlq@0/7".to_owned()));
        assert!(seen.is_new("t.b.dlq@0/7".to_owned()), "it was gone");
    }
}
