//! The ways in which one client has cost others their calls, one by one: see [`Way`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::hostile::{Attack, Attacker, Way};
use scenarios::neighbours::{self, Call};
use scenarios::watch::Watch;
use scenarios::{Shop, net};

use super::runtime;

/// Rounds of the neighbours, all together, while somebody misbehaves; three of them share the work.
const ROUNDS: usize = 24;
/// The same where what is flooded is busy with nothing else: an unoptimised shop needs seconds for each call beside it. Each of
/// the three still makes each of the usual calls three times, while many more forged keys wait than may.
const ROUNDS_OF_A_FLOOD: usize = 9;
/// How long an attack may take to get going, on a busy machine that hashes hundreds of passwords for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three HTTP/2 connections with 1,000 `POST` each whose bodies do not come.
pub(crate) fn stalled_posts(marketplace: &mut Embedded) {
    let counts = play(marketplace, Way::StalledPosts, 60, |attack| {
        attack.counts.of("opened") >= 200
    });
    assert!(counts.contains_key("connected"), "{counts:?}");
}

/// 800 gRPC calls on one connection to users, without their messages.
pub(crate) fn empty_calls(marketplace: &mut Embedded) {
    let _ = play(marketplace, Way::EmptyCalls, 61, |attack| {
        attack.counts.of("opened") >= 100
    });
}

/// Lists of 300 kB on 484 streams whose windows stay shut.
pub(crate) fn unread_lists(marketplace: &mut Embedded) {
    let _ = play(marketplace, Way::UnreadLists, 62, |attack| {
        attack.counts.of("answer 200") >= 100
    });
}

/// Tokens of keys that nobody has.
pub(crate) fn forged_keys(marketplace: &mut Embedded) {
    let counts = play(marketplace, Way::ForgedKeys, 63, |attack| {
        attack.counts.answers() >= 500
    });
    assert!(!counts.contains_key("answer 200"), "{counts:?}");
}

/// 1,000 connections to the gateway and 300 to its admin port that say nothing, where the process may have 1,024.
pub(crate) fn idle_connections(marketplace: &mut Embedded) {
    let _ = play(marketplace, Way::IdleConnections, 64, |attack| {
        attack.counts.of("connected") >= 500
    });
}

/// Sign-ins of people who do not exist.
pub(crate) fn unknown_sign_ins(marketplace: &mut Embedded) {
    let counts = play(marketplace, Way::UnknownSignIns, 65, |attack| {
        attack.counts.answers() >= 100
    });
    assert!(!counts.contains_key("answer 201"), "{counts:?}");
}

/// Sign-ins of an own account, 16 at a time, at least 200: they leave the memory as it was.
pub(crate) fn own_sign_ins(marketplace: &mut Embedded) {
    /// What the process may have at most, in KiB.
    const MOST: u64 = 250 * 1024;
    let _ = play(marketplace, Way::OwnSignIns, 66, |attack| {
        attack.counts.answers() >= 200
    });
    let most = marketplace.resident_most_kib();
    assert!(most <= MOST, "{most} KiB");
}

/// Paths, methods and gRPC methods that are made up: the metrics do not grow by them.
pub(crate) fn made_up_names(marketplace: &mut Embedded) {
    /// Series that may appear: a status of a route that was not seen before.
    const MORE: usize = 40;
    let doors = ["gateway", "users", "orders", "products"];
    let series = |marketplace: &Embedded| -> usize {
        let admins = doors.iter().map(|door| Shop::new(&marketplace.admin(door)));
        let metrics = admins.map(|admin| admin.get("/metrics", None).expect(200).text);
        metrics
            .map(|text| text.lines().filter(|line| !line.starts_with('#')).count())
            .max()
            .unwrap_or_default()
    };
    let attack = |attack: &Attack| attack.counts.answers() >= 500;
    // The neighbours' own series and the first of the attack's are there after the first play.
    let _ = play(marketplace, Way::MadeUpNames, 67, attack);
    let before = series(marketplace);
    let counts = play(marketplace, Way::MadeUpNames, 67, attack);
    let after = series(marketplace);
    assert!(after <= before + MORE, "{before} → {after} by {counts:?}");
}

/// Misbehaves in one way from the loopback address with this last number, while neighbours shop. None of their calls
/// is refused, no breaker opens, no endpoint is ejected.
#[expect(clippy::print_stderr, reason = "the figures that are not asserted")]
fn play(
    marketplace: &Embedded,
    way: Way,
    from: u8,
    is_going: impl Fn(&Attack) -> bool,
) -> BTreeMap<String, u64> {
    let addresses: Vec<_> = (70..73).map(net::loopback).collect();
    let others = neighbours::sign_up(marketplace, &addresses);
    let attacker = Attacker::new(marketplace, net::loopback(from));
    attacker.prepare(marketplace, way);
    runtime().block_on(async {
        let shopping = others.shop();
        Watch::calm(marketplace).await;
        shopping.stop().await;
        let watch = Watch::start(marketplace).await;
        let shopping = others.shop();
        shopping.rounds_unless_refused(ROUNDS / 4).await;
        let alone = shopping.stop().await;
        let shopping = others.shop();
        let attack = attacker.attack(way);
        let since = Instant::now();
        while !is_going(&attack) {
            let counts = attack.counts.all();
            assert!(since.elapsed() < PATIENCE, "no {way:?} yet: {counts:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shopping.rounds_unless_refused(rounds_beside(way)).await;
        let beside = shopping.stop().await;
        let counts = attack.counts.all();
        drop(attack);
        let report = watch.stop().await;
        eprintln!(
            "{way:?}: {counts:?}; p99 alone {:?}, beside it {:?}",
            p99(&alone),
            p99(&beside)
        );
        let refused: Vec<_> = alone
            .iter()
            .chain(&beside)
            .filter(|c| c.refused.is_some())
            .collect();
        let calls = beside.len();
        let shown = &refused[..refused.len().min(5)];
        assert!(
            refused.is_empty(),
            "{} of {calls} refused: {shown:?}",
            refused.len()
        );
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        counts
    })
}

fn rounds_beside(way: Way) -> usize {
    match way {
        Way::ForgedKeys => ROUNDS_OF_A_FLOOD,
        _ => ROUNDS,
    }
}

fn p99(calls: &[Call]) -> Duration {
    let mut took: Vec<_> = calls.iter().map(|call| call.took).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().unwrap_or_default()
}
