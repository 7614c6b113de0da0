//! Order, with consumers that come and go and messages that fail.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use messaging::{Delivery, Destination, Message, Publisher, Status, dead_letter};
use parking_lot::Mutex;

use super::{Engine, Terms};
use crate::support::stalls::Stalls;
use crate::support::{Recorder, body, eventually, eventually_within, permanent, transient};

const KEYS: usize = 40;
/// For all messages of the case with many: unoptimised, a queue does some hundreds in a second.
const ALL_DONE: Duration = Duration::from_secs(120);

/// What several consumers did, and whether two of them had one key at a time.
#[derive(Default)]
struct Log {
    /// Who did what, in the order of time.
    done: Mutex<Vec<(usize, Delivery)>>,
    busy: Mutex<HashMap<String, usize>>,
    overlaps: AtomicUsize,
}

impl Log {
    fn member(self: &Arc<Self>, member: usize) -> Arc<Recorder> {
        let log = Arc::clone(self);
        Recorder::with(move |delivery| {
            let log = Arc::clone(&log);
            async move {
                let key = delivery.message.key.clone().unwrap();
                let at_once = {
                    let mut busy = log.busy.lock();
                    let count = busy.entry(key.clone()).or_default();
                    *count += 1;
                    *count
                };
                log.overlaps.fetch_add(at_once - 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                *log.busy.lock().get_mut(&key).unwrap() -= 1;
                log.done.lock().push((member, delivery));
                Ok(())
            }
        })
    }

    fn count_of(&self, member: usize) -> usize {
        let done = self.done.lock();
        done.iter().filter(|(by, _)| *by == member).count()
    }

    /// The numbers of each key in the order in which these members did them for the first time: what was in hand when a
    /// partition moved may come again.
    fn keys(&self, members: &[usize]) -> HashMap<String, Vec<usize>> {
        let done = self.done.lock();
        let mut seen = HashSet::new();
        let mut keys: HashMap<String, Vec<usize>> = HashMap::new();
        for (_, delivery) in done.iter().filter(|(by, _)| members.contains(by)) {
            let key = delivery.message.key.clone().unwrap();
            let number: usize = body(delivery).parse().unwrap();
            if seen.insert((key.clone(), number)) {
                keys.entry(key).or_default().push(number);
            }
        }
        keys
    }
}

/// Publishes a number to each key, round by round, until told to stop and until there are `least`; answers with how many
/// rounds there were. A round waits for its acknowledgements, so a key's numbers are sent one after the other.
async fn publish_rounds(
    publisher: Arc<dyn Publisher>,
    to: Destination,
    least: usize,
    more: Arc<AtomicBool>,
) -> usize {
    let mut round = 0;
    while round < least || more.load(Ordering::SeqCst) {
        let sends = (0..KEYS).map(async |key| {
            let message = Message::new(round.to_string()).with_key(format!("key-{key}"));
            publisher.publish(&to, message).await.unwrap();
        });
        join_all(sends).await;
        round += 1;
    }
    round
}

/// Members of one name join and leave while messages flow: a second, a third, the first leaves, comes again, the second
/// leaves.
pub(crate) async fn each_key_keeps_its_order_while_consumers_come_and_go<E: Engine>() {
    let engine = E::start().await;
    let log = Arc::new(Log::default());
    let join = async |member| engine.subscribe("one", log.member(member)).await;
    let works = async |member: usize| {
        eventually(&format!("member {member} works"), async || {
            log.count_of(member) > 0
        })
        .await;
    };
    let first = join(1).await;
    let more = Arc::new(AtomicBool::new(true));
    let least = E::NATURE.many() / KEYS;
    let (publisher, to) = (engine.publisher(), engine.destination());
    let published = tokio::spawn(publish_rounds(publisher, to, least, more.clone()));
    works(1).await;
    let second = join(2).await;
    works(2).await;
    let third = join(3).await;
    works(3).await;
    first.stop().await;
    let again = join(4).await;
    works(4).await;
    second.stop().await;
    more.store(false, Ordering::SeqCst);
    let rounds = published.await.unwrap();

    if E::NATURE.shares {
        all_was_done_by_one_or_the_other::<E>(&log, rounds).await;
    } else {
        each_got_all_while_it_was_there(&log, rounds).await;
    }
    for member in [third, again] {
        member.stop().await;
    }
}

async fn all_was_done_by_one_or_the_other<E: Engine>(log: &Log, rounds: usize) {
    let members = [1, 2, 3, 4];
    eventually_within(ALL_DONE, "all are done", async || {
        let keys = log.keys(&members);
        keys.values().map(Vec::len).sum::<usize>() == rounds * KEYS
    })
    .await;
    let all: Vec<_> = (0..rounds).collect();
    for (key, mut numbers) in log.keys(&members) {
        if !E::NATURE.ordered {
            numbers.sort_unstable();
        }
        assert_eq!(numbers, all, "{key}");
    }
    if E::NATURE.ordered {
        let overlaps = log.overlaps.load(Ordering::SeqCst);
        assert_eq!(overlaps, 0, "two members had one key at once");
    }
}

/// Nobody shares with anybody: whoever stays has everything, from the moment in which it came, in order.
async fn each_got_all_while_it_was_there(log: &Log, rounds: usize) {
    eventually("those that stayed have all", async || {
        [3, 4].iter().all(|member| {
            let keys = log.keys(&[*member]);
            keys.len() == KEYS
                && keys
                    .values()
                    .all(|numbers| numbers.last() == Some(&(rounds - 1)))
        })
    })
    .await;
    for member in [1, 2, 3, 4] {
        for (key, numbers) in log.keys(&[member]) {
            let from_its_first: Vec<_> = (numbers[0]..).take(numbers.len()).collect();
            assert_eq!(numbers, from_its_first, "{key} of member {member}");
        }
    }
}

/// The message behind one that fails waits for it, or passes it: a queue must not be held up, a stream must not be put out of
/// order. One of a key, the other of the same.
pub(crate) async fn a_message_that_fails_is_not_overtaken<E: Engine>() {
    let engine = E::start().await;
    let passed = Arc::new(AtomicBool::new(false));
    let handler = Recorder::with(move |delivery| {
        let passed = Arc::clone(&passed);
        async move {
            match body(&delivery).as_str() {
                // Where nothing can pass, a few failures must do.
                "first" if E::NATURE.ordered && delivery.attempt < 4 => Err(transient("busy")),
                "first" if !E::NATURE.ordered && !passed.load(Ordering::SeqCst) => {
                    Err(transient("busy"))
                }
                "second" => {
                    passed.store(true, Ordering::SeqCst);
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    });
    let terms = Terms {
        pause: [50, 1000].map(Duration::from_millis),
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", handler.clone(), terms, Status::ignore())
        .await;
    engine.publish_bodies(&["first", "second"]).await;
    handler.wait_done(2).await;
    let wanted = if E::NATURE.ordered {
        ["first", "second"]
    } else {
        ["second", "first"]
    };
    assert_eq!(handler.done_bodies(), wanted);
    running.stop().await;
}

/// Poison among good ones. The pause between tries is longer than any test waits: a neighbour that waited for one would
/// never be done. Nor is it late, by more than the machine is.
pub(crate) async fn poison_does_not_hold_up_its_neighbours<E: Engine>() {
    const MESSAGES: usize = 100;
    const LATE: Duration = Duration::from_secs(1);
    let engine = E::start().await;
    let is_poison = |n: usize| n % 10 == 5;
    let handled: Arc<Mutex<HashMap<usize, Instant>>> = Arc::default();
    let times = Arc::clone(&handled);
    let handler = Recorder::with(move |delivery| {
        let n: usize = body(&delivery).parse().unwrap();
        times.lock().entry(n).or_insert_with(Instant::now);
        async move {
            if is_poison(n) {
                Err(permanent("unreadable"))
            } else {
                Ok(())
            }
        }
    });
    let terms = Terms {
        pause: [Duration::from_secs(600); 2],
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", handler.clone(), terms, Status::ignore())
        .await;
    // Once this is done the consumer has found its place, which may take a while and is not meant here.
    engine.publish(Message::new(MESSAGES.to_string())).await;
    handler.wait_done(1).await;
    let stalls = Stalls::watch();
    let mut published = HashMap::new();
    for n in 0..MESSAGES {
        let message = Message::new(n.to_string()).with_key(format!("k{}", n % 3));
        engine.publish(message).await;
        published.insert(n, Instant::now());
    }
    handler.wait_done(1 + MESSAGES - MESSAGES / 10).await;
    eventually("all were seen", async || {
        handler.seen().len() == 1 + MESSAGES
    })
    .await;
    let limit = LATE + stalls.so_far();
    for (n, published) in &published {
        let late = handled.lock()[n].saturating_duration_since(*published);
        assert!(late < limit, "{n} was handled after {late:?}");
    }
    let poison: Vec<_> = (0..MESSAGES).filter(|n| is_poison(*n)).collect();
    assert_parked(&engine, &poison).await;
    running.stop().await;
    assert_eq!(handler.seen().len(), 1 + MESSAGES, "poison was tried again");
}

/// These numbers, and no others, are parked with their reason; where nothing is kept they are gone.
async fn assert_parked<E: Engine>(engine: &E, numbers: &[usize]) {
    let reader = Recorder::new();
    let Some(reading) = engine.read_parked("one", reader.clone()).await else {
        assert!(!E::NATURE.parks);
        return;
    };
    assert!(E::NATURE.parks);
    let parked = reader.wait_done(numbers.len()).await;
    let reason = |delivery: &Delivery| delivery.header(dead_letter::REASON).map(str::to_owned);
    assert!(
        parked
            .iter()
            .all(|d| reason(d).as_deref() == Some("unreadable"))
    );
    let mut found: Vec<usize> = parked.iter().map(|d| body(d).parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, numbers);
    reading.stop().await;
}
