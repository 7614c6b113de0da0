//! `agora dlq`: looks at dead letters, sends them again, drops them.
//!
//! | where | what |
//! |---|---|
//! | `args.rs` | the arguments |
//! | `stores.rs` | the engines whose dead letters are read |
//! | `screen.rs` | the output |
//! | `keep.rs` | the file that keeps what was dropped |
//! | `watch.rs` | prints each letter once |
//! | `own.rs` | takes away what was parked on purpose |

mod args;
mod keep;
mod own;
mod screen;
mod stores;
mod watch;

use chassis::output::{PrintError, unread};
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
        Command::Watch(watch) => {
            let sweep = watch.sweep();
            tokio::select! {
                ended = watch::follow(&stores, &sweep, watch.every, watch.json) => ended,
                () = unread() => Err(PrintError::Unread.into()),
            }
        }
    }
}

async fn send_again(stores: &Stores, redrive: &args::Redrive) -> Result<(), Failure> {
    redrive.check()?;
    let sweep = redrive.meant.sweep(u64::MAX, redrive.pace.rate());
    let act = if redrive.pace.dry_run {
        Act::Rehearse
    } else {
        Act::Redrive
    };
    let mut meter = Meter::new("sent again");
    let swept = stores.sweep(&sweep, act, &mut |_, s| meter.tell(s)).await;
    report(
        "sent again",
        meter.end(swept)?,
        redrive.pace.dry_run,
        redrive.pace.json,
    )
}

/// Drops letters, each after it was written to the file.
async fn take_out(stores: &Stores, drop: &args::Drop) -> Result<(), Failure> {
    drop.check()?;
    let sweep = drop.meant.sweep(u64::MAX, drop.pace.rate());
    let mut meter = Meter::new("dropped");
    let swept = if drop.pace.dry_run {
        stores
            .sweep(&sweep, Act::Look, &mut |_, s| meter.tell(s))
            .await
    } else {
        let mut file = File::open(&drop.to)?;
        let mut keep = |letter: &DeadLetter| file.keep(letter);
        let act = Act::Drop(&mut keep);
        stores.sweep(&sweep, act, &mut |_, s| meter.tell(s)).await
    };
    report(
        "dropped",
        meter.end(swept)?,
        drop.pace.dry_run,
        drop.pace.json,
    )
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
    if dry_run {
        return print(&format!(
            "{} would be {done}; nothing was.{bodyless}{rest}\n",
            swept.matched - swept.bodyless
        ));
    }
    print(&format!(
        "{} {done}.{gone}{bodyless}{rest}\n",
        swept.settled
    ))
}
