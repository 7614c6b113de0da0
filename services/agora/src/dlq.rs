//! `agora dlq`: looks at dead letters, sends them again, drops them.
//!
//! | where | what |
//! |---|---|
//! | `args.rs` | the arguments |
//! | `stores.rs` | the engines whose dead letters are read |
//! | `screen.rs` | the output |
//! | `keep.rs` | the file that keeps what was dropped |
//! | `own.rs` | takes away what was parked on purpose |

mod args;
mod keep;
mod own;
mod screen;
mod stores;

use std::collections::HashSet;
use std::time::Duration;

use messaging::dead_letters::{Act, DeadLetter, Settled, Sweep, Swept};
use serde_json::json;

use crate::failure::Failure;
use keep::File;
use screen::{Meter, print, print_json};
use stores::Stores;

use args::Command;
pub(crate) use args::{AFTER_HELP, Dlq};
pub(crate) use own::take_away;

/// Does what was asked for.
pub(crate) async fn run(dlq: Dlq) -> Result<(), Failure> {
    let stores = Stores::open(&dlq.place)?;
    match dlq.command {
        Command::List(list) => {
            let (letters, swept) = look(&stores, &list.sweep()).await?;
            if list.json {
                let letters: Vec<_> = letters.iter().collect();
                return print_json(&json!({
                    "dead_letters": letters,
                    "more": swept.more,
                    "cut": swept.cut,
                }));
            }
            print(&screen::table(&letters, swept))
        }
        Command::Show(show) => {
            let (letters, swept) = look(&stores, &show.sweep()).await?;
            if letters.is_empty() {
                let rest = screen::rest(swept);
                return Err(Failure::new(format!(
                    "there is no dead letter {}.{rest}",
                    show.id
                )));
            }
            letters
                .iter()
                .try_for_each(|letter| print_json(&screen::whole(letter)))
        }
        Command::Redrive(redrive) => send_again(&stores, &redrive).await,
        Command::Drop(drop) => take_out(&stores, &drop).await,
        Command::Watch(watch) => follow(&stores, &watch.sweep(), watch.every, watch.json).await,
    }
}

async fn send_again(stores: &Stores, redrive: &args::Redrive) -> Result<(), Failure> {
    redrive.check()?;
    let sweep = redrive.meant.sweep(u64::MAX, redrive.pace.rate());
    let act = if redrive.pace.dry_run {
        Act::Look
    } else {
        Act::Redrive
    };
    let mut meter = Meter::new("sent again");
    let swept = stores.sweep(&sweep, act, &mut |_, s| meter.tell(s)).await?;
    meter.end();
    report("sent again", swept, redrive.pace.dry_run, redrive.pace.json)
}

/// Drops letters, each after it was written to the file.
async fn take_out(stores: &Stores, drop: &args::Drop) -> Result<(), Failure> {
    drop.check()?;
    let sweep = drop.meant.sweep(u64::MAX, drop.pace.rate());
    let mut meter = Meter::new("dropped");
    let swept = if drop.pace.dry_run {
        stores
            .sweep(&sweep, Act::Look, &mut |_, s| meter.tell(s))
            .await?
    } else {
        let mut file = File::open(&drop.to)?;
        let mut keep = |letter: &DeadLetter| file.keep(letter);
        let act = Act::Drop(&mut keep);
        stores.sweep(&sweep, act, &mut |_, s| meter.tell(s)).await?
    };
    meter.end();
    report("dropped", swept, drop.pace.dry_run, drop.pace.json)
}

async fn look(stores: &Stores, sweep: &Sweep) -> Result<(Vec<DeadLetter>, Swept), Failure> {
    let mut letters = Vec::new();
    let mut note = |letter: &DeadLetter, _: Option<Settled>| letters.push(letter.clone());
    let swept = stores.sweep(sweep, Act::Look, &mut note).await?;
    Ok((letters, swept))
}

fn report(done: &str, swept: Swept, dry_run: bool, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(&json!({
            "matched": swept.matched,
            "settled": swept.settled,
            "gone": swept.gone,
            "bodyless": swept.bodyless,
            "more": swept.more,
            "cut": swept.cut,
            "dry_run": dry_run,
        }));
    }
    let rest = screen::rest(swept);
    if dry_run {
        return print(&format!(
            "{} would be {done}; nothing was.{rest}\n",
            swept.matched
        ));
    }
    let gone = match swept.gone {
        0 => String::new(),
        gone => format!(" {gone} were settled by somebody else meanwhile."),
    };
    let bodyless = match swept.bodyless {
        0 => String::new(),
        count => format!(
            " {count} stay: their bodies were too large to be parked; `agora dlq list` says where they are."
        ),
    };
    print(&format!(
        "{} {done}.{gone}{bodyless}{rest}\n",
        swept.settled
    ))
}

/// Prints each letter once, until it is stopped.
async fn follow(
    stores: &Stores,
    sweep: &Sweep,
    every: Duration,
    as_json: bool,
) -> Result<(), Failure> {
    let mut known: HashSet<(String, String)> = HashSet::new();
    loop {
        let (letters, _) = look(stores, sweep).await?;
        let mut now = HashSet::new();
        for letter in letters {
            let parked_at = letter.parked_at.map(|at| at.to_rfc3339());
            // On RabbitMQ each visit counts positions anew; the time and the event are stable.
            let event = letter.event_id.clone().unwrap_or_else(|| letter.id.clone());
            let name = (event, parked_at.unwrap_or_default());
            if !known.contains(&name) {
                if as_json {
                    screen::print_line(&json!(letter))?;
                } else {
                    print(&screen::line(&letter))?;
                }
            }
            now.insert(name);
        }
        // Letters that are gone are forgotten: they may come again, and the set stays as small as the present letters.
        known = now;
        tokio::time::sleep(every).await;
    }
}
