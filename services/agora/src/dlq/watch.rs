//! `agora dlq watch`: prints each letter once, until it is stopped.

use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use messaging::dead_letters::{Act, DeadLetter, Settled, Sweep};
use serde_json::json;

use super::screen;
use super::stores::Stores;
use crate::failure::Failure;

/// What tells a letter from others in two looks: its place, its event, and when it was parked. On RabbitMQ each look counts
/// positions anew, so they are no name.
type Name = (String, String, String);

fn name(letter: &DeadLetter) -> Name {
    let parked_at = letter.parked_at.map(|at| at.to_rfc3339());
    let event = letter.event_id.as_ref().unwrap_or(&letter.id);
    (
        letter.place.clone(),
        event.clone(),
        parked_at.unwrap_or_default(),
    )
}

/// The letters of the look before, and of this one. Letters that are gone are forgotten: they may come again, and the sets stay as
/// small as the present letters.
#[derive(Default)]
struct Seen {
    before: HashSet<Name>,
    now: HashSet<Name>,
}

impl Seen {
    /// Notes a letter of this look; whether the look before did not have it.
    fn is_new(&mut self, name: Name) -> bool {
        let is_new = !self.before.contains(&name);
        self.now.insert(name) && is_new
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

    fn named(place: &str, event: &str, parked_at: &str) -> Name {
        (place.to_owned(), event.to_owned(), parked_at.to_owned())
    }

    #[test]
    fn a_letter_is_new_once_in_each_place_and_again_when_it_comes_back() {
        let mut seen = Seen::default();
        // Two groups park the same event in the same millisecond.
        let (one, other) = (
            named("t.a.dlq", "7", "12:00"),
            named("t.b.dlq", "7", "12:00"),
        );
        assert!(seen.is_new(one.clone()) && seen.is_new(other.clone()));
        seen.ends();
        assert!(!seen.is_new(one.clone()));
        seen.ends();
        assert!(!seen.is_new(one));
        assert!(seen.is_new(other), "it was gone");
        seen.ends();
        assert!(seen.is_new(named("t.a.dlq", "7", "12:01")), "parked again");
    }
}
