//! The order of turns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::FutureExt as _;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn lane(class: Class, host: u8, account: u64) -> Lane {
    Lane {
        class,
        origin: Origin::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))),
        account,
    }
}

fn stranger(host: u8, account: u64) -> Lane {
    lane(Class::Stranger, host, account)
}

type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Turn, Crowded>> + 'a>>;

/// Starts to wait.
fn wait(turns: &Turns, lane: Lane) -> Waiting<'_> {
    let mut waiting: Waiting<'_> = Box::pin(turns.take(lane, PATIENCE));
    assert!(
        (&mut waiting).now_or_never().is_none(),
        "has its turn at once"
    );
    waiting
}

fn has_turn(waiting: &mut Waiting<'_>) -> Option<Turn> {
    waiting.now_or_never().map(|turn| turn.expect("is served"))
}

/// The names in the order in which they are served.
fn order<'a>(turn: Turn, mut waiting: Vec<(&'a str, Waiting<'_>)>) -> Vec<&'a str> {
    let mut served = Vec::new();
    let mut turn = Some(turn);
    while turn.is_some() {
        drop(turn.take());
        waiting.retain_mut(|(name, one)| match has_turn(one) {
            Some(next) => {
                served.push(*name);
                assert!(turn.replace(next).is_none(), "one turn at a time");
                false
            }
            None => true,
        });
    }
    assert!(waiting.is_empty());
    served
}

#[tokio::test]
async fn addresses_and_then_accounts_are_served_in_turn() {
    let turns = Turns::new(1, 100);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(("flood", wait(&turns, stranger(1, 1))));
    }
    waiting.push(("same address", wait(&turns, stranger(1, 2))));
    waiting.push(("elsewhere", wait(&turns, stranger(2, 1))));
    assert_eq!(
        order(turn, waiting),
        ["flood", "elsewhere", "same address", "flood", "flood"]
    );
}

#[tokio::test]
async fn a_free_turn_waits_for_nobody_and_drops_nobody() {
    let turns = Turns::new(1, 1);
    let turn = turns.take_free(stranger(1, 1)).expect("a free turn");
    let mut waiting = wait(&turns, stranger(1, 1));
    // The queue is full: a known caller who waited here would drop the stranger.
    assert!(turns.take_free(lane(Class::Known, 2, 2)).is_none());
    drop(turn);
    assert!(has_turn(&mut waiting).is_some());
}

#[tokio::test]
async fn one_account_has_half_of_the_turns() {
    let turns = Turns::new(2, 100);
    let greedy = turns.take(stranger(1, 1), PATIENCE).await.unwrap();
    let mut own = wait(&turns, stranger(1, 1));
    let mut elsewhere = wait(&turns, stranger(2, 1));
    // The other turn is for other accounts, also at the same address, and also when it becomes free again.
    for _ in 0..3 {
        let neighbour = turns.take(stranger(1, 2), PATIENCE).now_or_never();
        drop(neighbour.expect("does not wait").unwrap());
        assert!((&mut own).now_or_never().is_none() && (&mut elsewhere).now_or_never().is_none());
    }
    drop(greedy);
    let own = has_turn(&mut own).expect("who came first");
    assert!((&mut elsewhere).now_or_never().is_none());
    drop(own);
    assert!(has_turn(&mut elsewhere).is_some());
    assert!(turns.state().running.is_empty());
}

#[tokio::test]
async fn who_is_known_goes_ahead_and_strangers_have_every_fourth_turn() {
    let turns = Turns::new(1, 100);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let mut waiting = Vec::new();
    for account in 0..2 {
        waiting.push(("stranger", wait(&turns, stranger(1, account))));
    }
    for account in 10..15 {
        let known = lane(Class::Known, 1, account);
        waiting.push(("known", wait(&turns, known)));
    }
    assert_eq!(
        order(turn, waiting),
        [
            "known", "known", "known", "stranger", "known", "known", "stranger"
        ]
    );
}

#[tokio::test]
async fn a_full_line_makes_room_where_most_wait() {
    let turns = Turns::new(1, 4);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let mut flood: Vec<_> = (0..4).map(|n| wait(&turns, stranger(1, n))).collect();
    // One more request of the flood changes nothing.
    let more = turns.take(stranger(1, 9), PATIENCE).await;
    assert!(matches!(more, Err(Crowded)));
    // A request from another address replaces one of them, and one of a known caller replaces another.
    let neighbour = wait(&turns, stranger(2, 1));
    let known = wait(&turns, lane(Class::Known, 1, 5));
    let sent_away = flood
        .iter_mut()
        .filter_map(|one| one.now_or_never())
        .filter(Result::is_err)
        .count();
    assert_eq!((sent_away, turns.waiting()), (2, 4));
    drop(flood);
    assert_eq!(
        order(turn, vec![("neighbour", neighbour), ("known", known)]),
        ["known", "neighbour"]
    );
}

/// One client sends each request from another network of its site.
#[tokio::test]
async fn a_site_is_one_client_however_many_networks_it_has() {
    let of_site = |n: u16| Lane {
        class: Class::Stranger,
        origin: Origin::from(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, n, 0, 0, 0, 1))),
        account: u64::from(n),
    };
    let turns = Turns::new(1, 4);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let mut flood: Vec<_> = (0..4).map(|n| wait(&turns, of_site(n))).collect();
    let more = turns.take(of_site(4), PATIENCE).await;
    assert!(matches!(more, Err(Crowded)), "it has the most");
    let neighbours = [1, 2].map(|host| wait(&turns, stranger(host, 1)));
    flood.retain_mut(|one| one.now_or_never().is_none());
    assert_eq!(flood.len(), 2, "two of them made room");
    // And the site has one turn in three.
    let mut waiting: Vec<_> = flood.into_iter().map(|one| ("flood", one)).collect();
    waiting.extend(neighbours.map(|one| ("neighbour", one)));
    assert_eq!(
        order(turn, waiting),
        ["flood", "neighbour", "neighbour", "flood"]
    );
}

#[tokio::test]
async fn who_leaves_does_not_wait_any_more() {
    let turns = Turns::new(1, 2);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    drop(wait(&turns, stranger(1, 1)));
    drop(wait(&turns, stranger(1, 2)));
    // Their positions are free again.
    let patient = wait(&turns, stranger(1, 3));
    let leaves = wait(&turns, stranger(1, 4));
    drop(leaves);
    assert_eq!(order(turn, vec![("patient", patient)]), ["patient"]);
    // A turn that is sent to a dropped request is not lost.
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let late = wait(&turns, stranger(1, 1));
    drop(turn);
    drop(late);
    turns
        .take(stranger(1, 0), PATIENCE)
        .now_or_never()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn patience_ends() {
    let turns = Turns::new(1, 2);
    let _turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    let late = turns.take(stranger(1, 1), Duration::from_millis(1)).await;
    assert!(matches!(late, Err(Crowded)));
}

#[tokio::test]
async fn memory_goes_from_turn_to_turn_while_somebody_waits() {
    let turns = Turns::new(1, 2);
    let mut turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    turn.memory = vec![Block::default(); 8];
    let address = turn.memory.as_ptr();
    let mut next = wait(&turns, stranger(1, 1));
    // The request in between was dropped.
    drop(wait(&turns, stranger(2, 1)));
    drop(turn);
    let turn = has_turn(&mut next).unwrap();
    assert_eq!(turn.memory.as_ptr(), address);
    drop(turn);
    let turn = turns.take(stranger(1, 0), PATIENCE).await.unwrap();
    assert_eq!(
        turn.memory.capacity(),
        0,
        "nobody waited: it was given back"
    );
}
