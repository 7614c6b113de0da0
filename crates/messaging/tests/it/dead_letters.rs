//! Looking at dead letters, sending them again, dropping them: what must hold on each engine.

// By path: the target `containers` has this file at another place.
#[path = "dead_letters/engines.rs"]
mod engines;
#[path = "dead_letters/port.rs"]
mod port;
#[path = "dead_letters/sick.rs"]
mod sick;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use messaging::dead_letters::{Act, DeadLetter, DeadLetterStore, Filter, Settled, Sweep, Swept};
use messaging::{MessagingError, dead_letter};
use rand::Rng as _;

use crate::support::{body, eventually};
use engines::message;
pub(crate) use engines::{InGroupQueue, InPg, InTopics, Office};
pub(crate) use port::they_are_shown_and_sent_again_on_the_admin_port;
use sick::Sick;

macro_rules! with_all_cases {
    ($run:ident! { $($before:tt)* }) => {
        $run! { $($before)*
            looking_changes_nothing,
            a_mended_handler_gets_what_was_parked_and_nobody_else_does,
            one_that_still_fails_is_parked_again_with_both_reasons,
            a_redrive_that_is_killed_again_and_again_loses_and_doubles_nothing,
            what_is_dropped_was_kept_before,
            only_what_is_meant_is_sent_again,
            two_redrives_at_once_settle_each_letter_once,
            they_are_shown_and_sent_again_on_the_admin_port,
        }
    };
}
#[allow(
    unused_imports,
    reason = "the containers target runs the cases on brokers"
)]
pub(crate) use with_all_cases;

macro_rules! on {
    ($office:ty, $module:ident; $($case:ident),* $(,)?) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case::<$office>().await;
            })*
        }
    };
}
with_all_cases!(on! { crate::dead_letters::InPg, on_pg; });
with_all_cases!(on! { crate::dead_letters::InTopics, on_mock; });
with_all_cases!(on! { crate::dead_letters::InGroupQueue, on_mock_and_pg; });

fn ids(range: std::ops::Range<usize>) -> HashSet<String> {
    range.map(|n| format!("id-{n}")).collect()
}

fn sweep() -> Sweep {
    Sweep {
        filter: Filter::default(),
        limit: u64::MAX,
        per_second: None,
        time_max: None,
    }
}

async fn look(store: &dyn DeadLetterStore) -> Vec<DeadLetter> {
    let mut letters = Vec::new();
    let mut note = |letter: &DeadLetter, settled: Option<Settled>| {
        assert_eq!(settled, None);
        letters.push(letter.clone());
    };
    sweep().run(store, Act::Look, &mut note).await.unwrap();
    letters
}

async fn redrive(store: &dyn DeadLetterStore, sweep: &Sweep) -> Swept {
    sweep
        .run(store, Act::Redrive, &mut |_, _| {})
        .await
        .unwrap()
}

/// Waits until so many letters lie there: those that are being parked and, on RabbitMQ, those that a visit before this held,
/// which the broker gives back when it is over.
async fn parked(store: &dyn DeadLetterStore, place: &str, count: u64) {
    eventually(&format!("{count} dead letters"), async || {
        store.count(place).await.unwrap() == count
    })
    .await;
}

pub(crate) async fn looking_changes_nothing<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::new());
    let running = office.consume(sick.handler.clone());
    office.send(0..20).await;
    parked(store.as_ref(), &office.place(), 20).await;
    let first = look(store.as_ref()).await;
    let events = |letters: &[DeadLetter]| -> Vec<_> {
        let letters = letters.iter();
        let mut events: Vec<_> = letters
            .map(|l| (l.event_id.clone(), (l.parked_at, l.id.clone())))
            .collect();
        if !O::KEEPS_ORDER {
            events.sort();
        }
        events
    };
    let mut sorted: Vec<_> = events(&first).into_iter().map(|(id, _)| id).collect();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 20);
    for _ in 0..5 {
        for store in [&store, &office.store()] {
            parked(store.as_ref(), &office.place(), 20).await;
            assert_eq!(events(&look(store.as_ref()).await), events(&first));
        }
    }
    parked(store.as_ref(), &office.place(), 20).await;

    let letter = &first[0];
    assert_eq!(
        (letter.source.clone(), letter.group.clone()),
        office.source()
    );
    assert_eq!((letter.reason.as_str(), letter.redriven), ("sick", 0));
    assert_eq!(letter.attempts, 1);
    assert_eq!(letter.place, office.place());
    assert!(letter.parked_at.is_some() && letter.key.is_some());
    running.stop().await;
}

pub(crate) async fn a_mended_handler_gets_what_was_parked_and_nobody_else_does<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::about(|n| n % 2 == 0));
    let running = office.consume(sick.handler.clone());
    let others = office.others();
    office.send(0..40).await;
    parked(store.as_ref(), &office.place(), 20).await;
    sick.mend();
    let swept = redrive(store.as_ref(), &sweep()).await;
    assert_eq!((swept.matched, swept.settled, swept.more), (20, 20, false));
    let done = sick.handler.wait_done(40).await;
    assert_eq!(sick.ids(), ids(0..40));
    let again = done
        .iter()
        .filter(|d| d.header(dead_letter::REDRIVEN) == Some("1"));
    let again: Vec<_> = again.collect();
    assert_eq!(again.len(), 20);
    for delivery in again {
        assert_eq!(delivery.source, office.source().0);
        assert_eq!(delivery.header(dead_letter::REASON_BEFORE), Some("sick"));
    }
    assert_eq!(store.count(&office.place()).await.unwrap(), 0);
    assert!(look(store.as_ref()).await.is_empty());
    if let Some((seen, running)) = others {
        // Everything once: had it been sent to all, more than these would be behind a last one. It is the last of its partition
        // only.
        office.publish(message(99)).await;
        seen.wait("all and the last one", |done| {
            done.len() >= 41 && done.iter().any(|d| body(d) == "99")
        })
        .await;
        assert_eq!(seen.done().len(), 41);
        running.stop().await;
    }
    running.stop().await;
}

pub(crate) async fn one_that_still_fails_is_parked_again_with_both_reasons<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::new());
    let running = office.consume(sick.handler.clone());
    office.send(0..1).await;
    parked(store.as_ref(), &office.place(), 1).await;
    let before = look(store.as_ref()).await.remove(0);
    parked(store.as_ref(), &office.place(), 1).await;
    redrive(store.as_ref(), &sweep()).await;
    let mut letters = Vec::new();
    eventually("the second parking", async || {
        letters = look(store.as_ref()).await;
        letters.iter().any(|l| l.redriven == 1)
    })
    .await;
    assert_eq!(letters.len(), 1, "the first one is settled");
    let letter = &letters[0];
    assert_eq!(letter.reason, "still sick");
    assert_eq!(letter.reasons_before, ["sick"]);
    assert_eq!((letter.attempts, letter.redriven), (2, 1));
    assert_eq!(
        (letter.source.clone(), letter.group.clone()),
        office.source()
    );
    assert_eq!(
        (letter.partition, letter.offset),
        (before.partition, before.offset)
    );

    sick.mend();
    parked(store.as_ref(), &office.place(), 1).await;
    redrive(store.as_ref(), &sweep()).await;
    let done = sick.handler.wait_done(1).await;
    assert_eq!(done[0].header(dead_letter::REDRIVEN), Some("2"));
    running.stop().await;
}

/// Ended at any step, as a kill does: whatever was sent and not yet settled is sent again, under the same id, for the inbox
/// of who handles it; and no more than that.
pub(crate) async fn a_redrive_that_is_killed_again_and_again_loses_and_doubles_nothing<
    O: Office,
>() {
    const PARKED: usize = 500;
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::about(|n| n < PARKED));
    let running = office.consume(sick.handler.clone());
    office.send(0..PARKED).await;
    parked(store.as_ref(), &office.place(), PARKED as u64).await;
    sick.mend();
    let ((), killed) = tokio::join!(
        office.send(PARKED..PARKED + 200),
        kill_until_done(store.as_ref())
    );
    assert!(killed >= 2, "it was killed {killed} times");
    let all = ids(0..PARKED + 200);
    sick.handler
        .wait("everything", |done| {
            let done = done.iter().filter_map(|d| d.header("ce_id"));
            done.collect::<HashSet<_>>().len() == all.len()
        })
        .await;
    assert_eq!(sick.ids(), all);
    assert_eq!(
        store.count(&office.place()).await.unwrap(),
        0,
        "nothing is left unsettled"
    );
    if let Some(most) = O::DOUBLES_AT_KILL {
        // They are sent again in one order: whoever has had the last one has had the doubles of those before it.
        let (doubles, most) = (sick.doubles(), most * usize::try_from(killed).unwrap());
        assert!(doubles <= most, "{doubles} doubles, {most} at most");
    }
    assert!(look(store.as_ref()).await.is_empty());
    running.stop().await;
}

/// Ends a redrive after a time, begins it again, and gives it more time until it comes to its end: how often it was ended.
async fn kill_until_done(store: &dyn DeadLetterStore) -> u64 {
    let mut killed = 0;
    loop {
        let life = Duration::from_millis(rand::rng().random_range(5..40) * (killed + 1));
        let all = sweep();
        let mut nothing = |_: &DeadLetter, _: Option<Settled>| {};
        let run = all.run(store, Act::Redrive, &mut nothing);
        match tokio::time::timeout(life, run).await {
            Ok(swept) => {
                swept.unwrap();
                return killed;
            }
            Err(_killed) => killed += 1,
        }
    }
}

pub(crate) async fn what_is_dropped_was_kept_before<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::new());
    let running = office.consume(sick.handler.clone());
    office.send(0..5).await;
    parked(store.as_ref(), &office.place(), 5).await;
    let all = sweep();
    let mut full = |_: &DeadLetter| Err(MessagingError::Unavailable("the disk is full".to_owned()));
    let mut nothing = |_: &DeadLetter, _: Option<Settled>| {};
    let failed = all.run(store.as_ref(), Act::Drop(&mut full), &mut nothing);
    assert!(
        failed
            .await
            .unwrap_err()
            .to_string()
            .contains("disk is full")
    );
    parked(store.as_ref(), &office.place(), 5).await;
    assert_eq!(
        look(store.as_ref()).await.len(),
        5,
        "what cannot be kept stays"
    );

    let mut kept = Vec::new();
    let mut keep = |letter: &DeadLetter| {
        kept.push(letter.event_id.clone().unwrap());
        Ok(())
    };
    parked(store.as_ref(), &office.place(), 5).await;
    let dropped = all.run(store.as_ref(), Act::Drop(&mut keep), &mut nothing);
    assert_eq!(dropped.await.unwrap().settled, 5);
    assert_eq!(HashSet::from_iter(kept), ids(0..5));
    assert!(look(store.as_ref()).await.is_empty());
    assert_eq!(store.count(&office.place()).await.unwrap(), 0);
    running.stop().await;
    assert!(sick.handler.done().is_empty());
}

pub(crate) async fn only_what_is_meant_is_sent_again<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::new());
    let running = office.consume(sick.handler.clone());
    office.send(0..12).await;
    parked(store.as_ref(), &office.place(), 12).await;
    sick.mend();
    let odd = Sweep {
        filter: Filter {
            event_type: Some("test.1.v1".to_owned()),
            ..Filter::default()
        },
        limit: 4,
        per_second: NonZeroU32::new(1000),
        ..sweep()
    };
    let swept = redrive(store.as_ref(), &odd).await;
    assert_eq!((swept.matched, swept.settled, swept.more), (4, 4, true));
    parked(store.as_ref(), &office.place(), 8).await;
    let swept = redrive(store.as_ref(), &odd).await;
    assert_eq!((swept.matched, swept.settled, swept.more), (2, 2, false));
    let done = sick.handler.wait_done(6).await;
    assert!(
        done.iter()
            .all(|d| d.header("ce_type") == Some("test.1.v1"))
    );
    parked(store.as_ref(), &office.place(), 6).await;
    assert_eq!(look(store.as_ref()).await.len(), 6);
    running.stop().await;
}

pub(crate) async fn two_redrives_at_once_settle_each_letter_once<O: Office>() {
    let office = O::open().await;
    let (store, sick) = (office.store(), Sick::new());
    let running = office.consume(sick.handler.clone());
    office.send(0..60).await;
    parked(store.as_ref(), &office.place(), 60).await;
    sick.mend();
    let (one, two, elsewhere) = (sweep(), sweep(), office.store());
    let (one, two) = tokio::join!(
        redrive(store.as_ref(), &one),
        redrive(elsewhere.as_ref(), &two)
    );
    assert!(one.settled + two.settled >= 60, "{one:?} {two:?}");
    sick.handler
        .wait("all of them", |_| sick.ids().len() == 60)
        .await;
    assert_eq!(sick.ids(), ids(0..60));
    assert_eq!(store.count(&office.place()).await.unwrap(), 0);
    running.stop().await;
}
